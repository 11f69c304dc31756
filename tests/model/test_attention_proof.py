"""That the attention is what its formula says, however the sequences lie.

Letters: B rows, L positions, D hidden width, H heads, E head size.
"""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.attention import Attention, neighbourhood
from model.batch import Batch
from model.blocks import find_blocks
from model.config import EncoderConfig
from model.encoder import AttentionPath, Encoder
from model.rotary import rotary_table, rotate
from tests.model.encoders import lively_encoder
from tests.model.reference_encoder import (
    Attend,
    attend,
    attention_output,
    laid_out,
    torch_attend,
)

CONFIG = EncoderConfig(
    vocab_size=96,
    hidden_size=24,
    num_layers=2,
    num_heads=3,
    intermediate_size=16,
    local_attention=6,
    global_attn_every_n_layers=2,
)
ROW_TOKENS = 19
LENGTHS = ((5, 1, 9), (19,), (1, 1, 2), (13, 6))
PATHS = pytest.mark.parametrize("path", ["rows", "stream", "blocks"])
KINDS = pytest.mark.parametrize("full", [True, False], ids=["full", "windowed"])
EXACT = {"atol": 1e-12, "rtol": 1e-10}


def tokens(lengths: tuple[int, ...] | list[int]) -> list[Tensor]:
    return [torch.arange(5, 5 + length) for length in lengths]


def lively_attention(config: EncoderConfig, seed: int = 0) -> Attention:
    attention = Attention(config).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator).double() * 0.5)
    return attention


def states(batch: Batch, config: EncoderConfig, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (*batch.token_ids_BL.shape, config.hidden_size)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def attended(
    attention: Attention,
    hidden_BLD: Tensor,
    batch: Batch,
    config: EncoderConfig,
    full: bool,
    path: str,
) -> Tensor:
    """What every token that is not padding gathers, document after document."""
    over = find_blocks(batch.runs) if path == "blocks" else path
    where = neighbourhood(batch, config, full=full, over=over)
    mixed_BLD: Tensor = attention(hidden_BLD, where)
    return mixed_BLD[batch.sequence_ids_BL > 0]


def expected(
    attention: Attention,
    hidden_BLD: Tensor,
    batch: Batch,
    config: EncoderConfig,
    full: bool,
    by: Attend,
) -> Tensor:
    documents = [
        attention_output(
            hidden_BLD[batch.sequence_ids_BL == number], attention, config, full=full, by=by
        )
        for number in range(1, batch.num_sequences + 1)
    ]
    return torch.cat(documents)


def assert_equal_with_gradients(ours_ND: Tensor, theirs_ND: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(ours_ND, theirs_ND, **EXACT)
    generator = torch.Generator().manual_seed(2)
    weights_ND = torch.randn(ours_ND.shape, generator=generator, dtype=torch.float64)
    ours = torch.autograd.grad((ours_ND * weights_ND).sum(), inputs, retain_graph=True)
    theirs = torch.autograd.grad((theirs_ND * weights_ND).sum(), inputs)
    for our, their in zip(ours, theirs, strict=True):
        assert their.abs().max() > 0.1  # there is something to compare
        torch.testing.assert_close(our, their, **EXACT)


@PATHS
@KINDS
@pytest.mark.parametrize("by", [attend, torch_attend])
def test_attention_is_the_softmax_of_scaled_scores(path: str, full: bool, by: Attend) -> None:
    batch = laid_out([tokens(lengths) for lengths in LENGTHS], ROW_TOKENS)
    attention, hidden_BLD = lively_attention(CONFIG), states(batch, CONFIG)
    assert_equal_with_gradients(
        attended(attention, hidden_BLD, batch, CONFIG, full, path),
        expected(attention, hidden_BLD, batch, CONFIG, full, by),
        [hidden_BLD, *attention.parameters()],
    )


@PATHS
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    rows=st.lists(st.lists(st.integers(1, 9), max_size=4), min_size=1, max_size=3),
    padding=st.integers(0, 3),
    window=st.integers(1, 12),
    num_heads=st.sampled_from([1, 2, 4]),
    full=st.booleans(),
)
def test_no_layout_of_sequences_changes_it(
    path: str, rows: list[list[int]], padding: int, window: int, num_heads: int, full: bool
) -> None:
    config = replace(CONFIG, hidden_size=16, num_heads=num_heads, local_attention=window)
    row_tokens = max(1, padding + max(map(sum, rows)))
    batch = laid_out([tokens(lengths) for lengths in rows], row_tokens)
    attention, hidden_BLD = lively_attention(config), states(batch, config)
    seen_ND = attended(attention, hidden_BLD, batch, config, full, path)
    assert len(seen_ND) == sum(map(sum, rows))
    if batch.num_sequences:
        expected_ND = expected(attention, hidden_BLD, batch, config, full, attend)
        torch.testing.assert_close(seen_ND, expected_ND, **EXACT)


@PATHS
@KINDS
def test_autograd_passes_its_own_check(path: str, full: bool) -> None:
    config = replace(CONFIG, hidden_size=8, num_heads=2, local_attention=2)
    batch = laid_out([tokens((3, 1)), tokens((4,))], 5)
    attention, hidden_BLD = lively_attention(config), states(batch, config)

    def outputs(hidden_BLD: Tensor, *_: Tensor) -> Tensor:
        return attended(attention, hidden_BLD, batch, config, full, path)

    assert torch.autograd.gradcheck(outputs, (hidden_BLD, *attention.parameters()))


def single_layer_encoder(local_attention: int, path: AttentionPath, layers: int = 1) -> Encoder:
    """An encoder whose windowed layers alone mix tokens: its first, full one adds nothing."""
    config = replace(
        CONFIG,
        num_layers=1 + layers,
        local_attention=local_attention,
        global_attn_every_n_layers=1 + layers,
    )
    encoder = lively_encoder(config, attention=path).double()
    torch.nn.init.zeros_(encoder.layers[0].attn.Wo.weight)
    return encoder


def influences(encoder: Encoder, batch: Batch, position: int) -> Tensor:
    """How much each token of the batch, all different, moves the state at a flat position."""
    hidden_BLD = encoder(batch)
    hidden_BLD.flatten(0, 1)[position].pow(3).sum().backward()
    gradient_VD = encoder.embeddings.tok_embeddings.weight.grad
    assert gradient_VD is not None
    return gradient_VD[batch.token_ids_BL.flatten()].abs().sum(-1)


@PATHS
@pytest.mark.parametrize("local_attention", [1, 2, 3, 6, 7, 100])
@pytest.mark.parametrize("position", [0, 9, 18])
def test_a_window_ends_where_it_says_and_nothing_passes_it(
    path: AttentionPath, local_attention: int, position: int
) -> None:
    batch = laid_out([tokens((ROW_TOKENS,))], ROW_TOKENS)
    moved_L = influences(single_layer_encoder(local_attention, path), batch, position)
    inside_L = (torch.arange(ROW_TOKENS) - position).abs() <= local_attention // 2
    assert moved_L[~inside_L].eq(0).all()
    assert moved_L[inside_L].gt(1e-9).all()


@PATHS
def test_each_further_windowed_layer_reaches_one_half_window_further(path: AttentionPath) -> None:
    batch = laid_out([tokens((ROW_TOKENS,))], ROW_TOKENS)
    for layers in (1, 2, 3):
        moved_L = influences(single_layer_encoder(4, path, layers), batch, 9)
        assert torch.equal(moved_L > 0, (torch.arange(ROW_TOKENS) - 9).abs() <= 2 * layers)


@PATHS
def test_no_gradient_crosses_from_one_sequence_into_another(path: AttentionPath) -> None:
    documents = [torch.arange(start, start + 6) for start in (5, 20, 40, 60)]
    batch = laid_out([documents[:2], documents[2:]], 14)
    encoder = lively_encoder(CONFIG, attention=path).double()
    moved_N = influences(encoder, batch, 8)  # the third token of the second document
    assert torch.equal(moved_N > 0, batch.sequence_ids_BL.flatten() == 2)


def test_rotation_is_multiplication_by_a_complex_number() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors_LE = torch.randn(40, 12, generator=generator, dtype=torch.float64)
    positions_L = torch.arange(40)
    cos_LF, sin_LF = rotary_table(positions_L, head_size=12, theta=500.0)
    wavelengths_F = 2 * math.pi * 500.0 ** (torch.arange(6, dtype=torch.float64) / 6)
    turns_LF = torch.exp(2j * math.pi * positions_L[:, None] / wavelengths_F)
    turned_LF = torch.complex(vectors_LE[:, :6], vectors_LE[:, 6:]) * turns_LF
    expected_LE = torch.cat((turned_LF.real, turned_LF.imag), dim=-1)
    torch.testing.assert_close(rotate(vectors_LE, cos_LF, sin_LF), expected_LE, atol=2e-5, rtol=0)


def test_rotation_keeps_double_precision() -> None:
    vectors_LE = torch.full((3, 4), 1.0 + 2.0**-40, dtype=torch.float64)
    cos_LF, sin_LF = rotary_table(torch.zeros(3, dtype=torch.int64), head_size=4, theta=10.0)
    assert torch.equal(rotate(vectors_LE, cos_LF, sin_LF), vectors_LE)


@PATHS
@pytest.mark.parametrize("shift", [1, 50, 700])
def test_only_distances_count(path: AttentionPath, shift: int) -> None:
    encoder = lively_encoder(CONFIG, attention=path).double()
    batch = laid_out([tokens(lengths) for lengths in LENGTHS], ROW_TOKENS)
    moved = replace(batch, positions_BL=batch.positions_BL + shift)
    real_BL = batch.sequence_ids_BL > 0
    # The angles are of single precision: their error grows with the position.
    torch.testing.assert_close(
        encoder(moved)[real_BL], encoder(batch)[real_BL], atol=1e-5 + 2e-7 * shift, rtol=0
    )


@PATHS
@KINDS
def test_order_counts(path: str, full: bool) -> None:
    batch = laid_out([tokens((5,))], 5)
    attention, hidden_BLD = lively_attention(CONFIG), states(batch, CONFIG)
    backwards_BLD = hidden_BLD.flip(1)
    ahead_LD = attended(attention, hidden_BLD, batch, CONFIG, full, path)
    behind_LD = attended(attention, backwards_BLD, batch, CONFIG, full, path).flip(0)
    assert (ahead_LD - behind_LD).abs().max() > 0.1


@PATHS
def test_moving_sequences_moves_their_states_along(path: AttentionPath) -> None:
    documents = [
        torch.arange(start, start + length) for start, length in ((5, 4), (30, 7), (60, 1))
    ]
    encoder = lively_encoder(CONFIG, attention=path).double()
    first = laid_out([documents, [documents[1]]], 13)
    second = laid_out([[documents[1]], [documents[2], documents[1], documents[0]]], 13)
    first_BLD, second_BLD = encoder(first), encoder(second)
    numbers = {1: 4, 2: 3, 3: 2, 4: 1}  # of the same document in either batch
    for here, there in numbers.items():
        torch.testing.assert_close(
            first_BLD[first.sequence_ids_BL == here],
            second_BLD[second.sequence_ids_BL == there],
            **EXACT,
        )


@PATHS
def test_permuting_the_rows_permutes_the_states(path: AttentionPath) -> None:
    encoder = lively_encoder(CONFIG, attention=path).double()
    order = [2, 0, 3, 1]
    hidden_BLD = encoder(laid_out([tokens(lengths) for lengths in LENGTHS], ROW_TOKENS))
    permuted = laid_out([tokens(LENGTHS[row]) for row in order], ROW_TOKENS)
    real_BL = permuted.sequence_ids_BL > 0
    torch.testing.assert_close(encoder(permuted)[real_BL], hidden_BLD[order][real_BL], **EXACT)
