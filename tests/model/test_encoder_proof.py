"""That packing, padding and leaving positions out change nothing that is computed.

Letters: B rows, L positions, N real tokens, M masked positions, D hidden width.
"""

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.batch import Batch, batch_from_rows, batch_from_sequences
from model.config import EncoderConfig
from model.encoder import AttentionPath, Encoder
from model.mlm import MaskedLanguageModel, MaskedLoss
from tests.model.encoders import IDS, lively_encoder, stir
from tests.model.reference_encoder import (
    document_states,
    gradients,
    laid_out,
    layer_output,
    norm,
)

CONFIG = EncoderConfig(
    vocab_size=48,
    hidden_size=16,
    num_layers=3,
    num_heads=2,
    intermediate_size=12,
    local_attention=4,
    global_attn_every_n_layers=2,
)
PATHS = pytest.mark.parametrize("path", ["rows", "stream", "blocks"])
EXACT = {"atol": 1e-12, "rtol": 1e-10}


@dataclass(frozen=True)
class Document:
    """Some text and what is to be guessed in it."""

    token_ids_L: Tensor
    positions_M: Tensor
    targets_M: Tensor


@cache
def double_model(path: AttentionPath) -> MaskedLanguageModel:
    model = MaskedLanguageModel(CONFIG, attention=path)
    torch.nn.init.zeros_(model.decoder.bias)
    model.model.load_state_dict(lively_encoder(CONFIG).state_dict())
    stir(model.head)
    stir(model.decoder)
    return model.double()


def tokens(*lengths: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(5, 48, (length,), generator=generator) for length in lengths]


def loss_and_gradients(
    model: MaskedLanguageModel, batch: Batch, documents: Sequence[Document]
) -> tuple[Tensor, list[Tensor]]:
    """Of all masked positions; `documents` in the order of the batch."""
    home_N = (batch.sequence_ids_BL.flatten() > 0).nonzero().flatten()
    starts = np.cumsum([0, *(len(document.token_ids_L) for document in documents)])
    places = zip(starts, documents, strict=False)
    positions_M = home_N[torch.cat([start + document.positions_M for start, document in places])]
    targets_M = torch.cat([document.targets_M for document in documents])
    loss = MaskedLoss(model)(batch, positions_M, targets_M)
    return loss.detach(), gradients(loss, model)


@st.composite
def some_documents(draw: st.DrawFn) -> list[Document]:
    documents = []
    for _ in range(draw(st.integers(1, 6))):
        token_ids = draw(st.lists(st.integers(5, 47), min_size=1, max_size=9))
        masked = draw(st.lists(st.integers(0, len(token_ids) - 1), max_size=4, unique=True))
        targets = draw(st.lists(st.integers(0, 47), min_size=len(masked), max_size=len(masked)))
        documents.append(
            Document(
                torch.tensor(token_ids),
                torch.tensor(masked, dtype=torch.int64),
                torch.tensor(targets, dtype=torch.int64),
            )
        )
    return documents


def packed(documents: Sequence[Document], breaks: Sequence[bool], padding: int) -> Batch:
    """The documents one after another, in a new row where there is a break."""
    rows: list[list[Tensor]] = [[]]
    for document, new_row in zip(documents, breaks, strict=False):
        if new_row:
            rows.append([])
        rows[-1].append(document.token_ids_L)
    return laid_out(rows, padding + max(sum(map(len, row)) for row in rows))


@PATHS
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    documents=some_documents(),
    breaks=st.lists(st.booleans(), min_size=6, max_size=6),
    padding=st.integers(0, 3),
    shuffle=st.randoms(use_true_random=False),
)
def test_packed_padded_or_alone_a_document_is_the_same(
    path: AttentionPath,
    documents: list[Document],
    breaks: list[bool],
    padding: int,
    shuffle: random.Random,
) -> None:
    model = double_model(path)
    shuffle.shuffle(documents)
    batches = [packed(documents, breaks, padding), packed(documents, [True] * 6, padding)]
    alone = [
        laid_out([[document.token_ids_L]], len(document.token_ids_L)) for document in documents
    ]
    states = [model.model(batch)[0] for batch in alone]
    singles = [loss_and_gradients(model, b, [d]) for b, d in zip(alone, documents, strict=True)]
    for batch in batches:
        hidden_BLD = model.model(batch)
        for number, hidden_LD in enumerate(states, start=1):
            seen_LD = hidden_BLD[batch.sequence_ids_BL == number]
            torch.testing.assert_close(seen_LD, hidden_LD, **EXACT)
        loss, gradient = loss_and_gradients(model, batch, documents)
        torch.testing.assert_close(loss, sum(single[0] for single in singles), **EXACT)
        for seen, *parts in zip(gradient, *(single[1] for single in singles), strict=True):
            torch.testing.assert_close(seen, sum(parts), **EXACT)


@PATHS
def test_the_encoder_is_its_formulas_forwards_and_backwards(path: AttentionPath) -> None:
    encoder = double_model(path).model
    documents = tokens(11, 1, 6, 2, 17)
    batch = laid_out([documents[:3], documents[3:]], 20)
    ours_ND = encoder(batch)[batch.sequence_ids_BL > 0]
    theirs_ND = torch.cat([document_states(encoder, document) for document in documents])
    torch.testing.assert_close(ours_ND, theirs_ND, **EXACT)
    ours = gradients(ours_ND.pow(3).sum(), encoder)
    theirs = gradients(theirs_ND.pow(3).sum(), encoder)
    for our, their in zip(ours, theirs, strict=True):
        assert their.abs().max() > 1e-3  # there is something to compare
        torch.testing.assert_close(our, their, atol=1e-10, rtol=1e-9)


@PATHS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_one_document_says_changes_no_bit_of_another(
    path: AttentionPath, dtype: torch.dtype
) -> None:
    encoder = lively_encoder(CONFIG, attention=path).to(dtype)
    documents = tokens(9, 5, 7, 8)
    others = tokens(9, 5, 7, 8, seed=1)
    layout = [0, 1], [2, 3]
    before_BLD = encoder(laid_out([[documents[i] for i in row] for row in layout], 16))
    for changed in range(4):
        mixed = [others[i] if i == changed else documents[i] for i in range(4)]
        batch = laid_out([[mixed[i] for i in row] for row in layout], 16)
        after_BLD = encoder(batch)
        stays_BL = (batch.sequence_ids_BL > 0) & (batch.sequence_ids_BL != changed + 1)
        assert torch.equal(after_BLD[stays_BL], before_BLD[stays_BL])
        assert not torch.isclose(after_BLD, before_BLD).all()


@PATHS
def test_what_padding_holds_changes_no_bit(path: AttentionPath) -> None:
    encoder = lively_encoder(CONFIG, attention=path)
    batch = laid_out([tokens(9, 5), tokens(4)], 16)
    before_BLD = encoder(batch)
    real_BL = batch.sequence_ids_BL > 0
    batch.token_ids_BL[~real_BL] = 7
    assert torch.equal(encoder(batch)[real_BL], before_BLD[real_BL])


def test_both_ways_of_making_batches_hold_the_same_documents() -> None:
    encoder = double_model("rows").model
    pieces = [piece.numpy() for piece in tokens(9, 0, 14, 3)]
    by_hand = batch_from_rows([pieces[:2], [], pieces[2:]], row_tokens=24, **IDS)
    by_length = batch_from_sequences(pieces, row_tokens=None, **IDS)
    for number in range(1, 5):
        torch.testing.assert_close(
            encoder(by_hand)[by_hand.sequence_ids_BL == number],
            encoder(by_length)[by_length.sequence_ids_BL == number],
            **EXACT,
        )


@PATHS
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("positions", [[7], [30, 2, 2, 17], list(range(32)), []])
def test_at_chosen_positions_values_and_gradients_are_those_of_the_whole(
    path: AttentionPath, num_layers: int, positions: list[int]
) -> None:
    config = EncoderConfig(
        vocab_size=48,
        hidden_size=16,
        num_layers=num_layers,
        num_heads=2,
        intermediate_size=12,
        local_attention=4,
        global_attn_every_n_layers=2,
    )
    encoder = lively_encoder(config, attention=path).double()
    batch = laid_out([tokens(9, 5), tokens(15)], 16)  # padding at 14, 15 and 31
    positions_M = torch.tensor(positions, dtype=torch.int64)
    few_MD = encoder(batch, positions_M)
    same_MD = encoder(batch).flatten(0, 1)[positions_M]
    assert few_MD.shape == (len(positions), 16)
    torch.testing.assert_close(few_MD, same_MD, **EXACT)
    few, same = (gradients(hidden_MD.pow(3).sum(), encoder) for hidden_MD in (few_MD, same_MD))
    for ours, theirs in zip(few, same, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


def states_at(encoder: Encoder, token_ids_L: Tensor, positions_Q: Tensor) -> Tensor:
    """``hidden_QD`` of a full and a windowed layer by their formulas, for few positions only."""
    everywhere_L = torch.arange(len(token_ids_L))
    distances_LQ = (everywhere_L[:, None] - positions_Q[None, :]).abs()
    needed_P = (distances_LQ <= encoder.config.half_window).any(1).nonzero().flatten()
    hidden_LD = norm(encoder.embeddings.tok_embeddings.weight[token_ids_L], encoder.embeddings.norm)
    hidden_PD = layer_output(encoder, 0, hidden_LD, everywhere_L, needed_P)
    asked_Q = torch.searchsorted(needed_P, positions_Q)
    hidden_QD = layer_output(encoder, 1, hidden_PD, needed_P, asked_Q)
    return norm(hidden_QD, encoder.final_norm)


def memory_bytes(name: str) -> int:
    """VmRSS (now) or VmHWM (the most since it was last reset) of this process, as Linux has it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def test_a_document_of_eight_thousand_tokens_is_right_and_stays_small() -> None:
    config = EncoderConfig(
        vocab_size=64,
        hidden_size=32,
        num_layers=2,
        num_heads=2,
        intermediate_size=16,
        local_attention=128,
        global_attn_every_n_layers=2,
        max_position_embeddings=8192,
    )
    encoder = lively_encoder(config)
    piece = np.random.default_rng(0).integers(5, 64, size=8190)
    batch = batch_from_rows([[piece]], row_tokens=8192, **IDS)
    positions_Q = torch.tensor([0, 70, 4000, 8191])
    resettable = Path("/proc/self/clear_refs")
    if resettable.exists():
        resettable.write_text("5")
    before_bytes = memory_bytes("VmRSS") if resettable.exists() else 0
    hidden_QD = encoder(batch)[0, positions_Q]
    seen = gradients(hidden_QD.pow(3).sum(), encoder)
    if resettable.exists():
        assert memory_bytes("VmHWM") - before_bytes < 200_000_000
    exact = deepcopy(encoder).double()
    expected_QD = states_at(exact, batch.token_ids_BL[0], positions_Q)
    torch.testing.assert_close(hidden_QD.double(), expected_QD, atol=1e-4, rtol=0)
    for ours, theirs in zip(seen, gradients(expected_QD.pow(3).sum(), exact), strict=True):
        assert ours.isfinite().all()
        assert (ours - theirs).norm() < 1e-4 * theirs.norm()
