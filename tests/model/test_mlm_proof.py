"""That the masked language model's loss, gradients and cost are what the formulas say.

Letters: B rows, L positions, M masked positions, D hidden width, V vocabulary.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from model import attention, prediction_loss
from model.batch import Batch
from model.config import EncoderConfig
from model.encoder import AttentionPath
from model.initialization import initialize
from model.mlm import MaskedLanguageModel, MaskedLoss, summed_loss
from model.prediction_loss import IGNORED
from tasks.pretrain.sizes import Shape, num_parameters, training_flops_per_token
from tests.model.encoders import stir
from tests.model.reference_encoder import document_loss, gradients, laid_out

CONFIG = EncoderConfig(
    vocab_size=37,
    hidden_size=24,
    num_layers=3,
    num_heads=3,
    intermediate_size=10,
    local_attention=4,
    global_attn_every_n_layers=2,
)
UNTIED = replace(CONFIG, tie_embeddings=False)
CONFIGS = pytest.mark.parametrize("config", [CONFIG, UNTIED], ids=["tied", "untied"])
PATHS = pytest.mark.parametrize("path", ["rows", "stream", "blocks"])
EXACT = {"atol": 1e-11, "rtol": 1e-10}
POSITIONS = [0, 3, 12, 13, 21, 22, 25]  # of the batch; 12 and 13 lie side by side in one document
IN_DOCUMENTS = [[0, 3], [3, 4], [0, 1, 4]]  # the same, document by document
SMALL = EncoderConfig(
    vocab_size=50, hidden_size=32, num_layers=2, num_heads=1, intermediate_size=20
)


def lively_model(config: EncoderConfig, path: AttentionPath = "auto") -> MaskedLanguageModel:
    model = MaskedLanguageModel(config, attention=path)
    initialize(model, config, 0)
    stir(model)
    return model


def documents() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(5, 37, (length,), generator=generator) for length in (9, 6, 8)]


def some_batch() -> tuple[Batch, Tensor, Tensor]:
    first, second, third = documents()
    targets_M = torch.tensor([5, 36, 0, 7, 8, 8, 20])
    return laid_out([[first, second], [third]], 21), torch.tensor(POSITIONS), targets_M


@PATHS
@CONFIGS
def test_loss_and_gradients_are_those_of_the_formulas(
    config: EncoderConfig, path: AttentionPath
) -> None:
    model = lively_model(config, path).double()
    loss = MaskedLoss(model)(*some_batch())
    targets = some_batch()[2].split([len(positions) for positions in IN_DOCUMENTS])
    expected = sum(
        document_loss(model, token_ids_L, torch.tensor(positions), targets_M)
        for token_ids_L, positions, targets_M in zip(
            documents(), IN_DOCUMENTS, targets, strict=True
        )
    )
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(loss, expected, **EXACT)
    for ours, theirs in zip(gradients(loss, model), gradients(expected, model), strict=True):
        assert theirs.abs().max() > 1e-3  # there is something to compare
        torch.testing.assert_close(ours, theirs, **EXACT)


def masked_stream(
    query_MHE: Tensor, key_NHE: Tensor, value_NHE: Tensor, stream: attention.Stream
) -> Tensor:
    """`loop_stream` without a loop: what can be compiled where flash attention is not."""
    runs_M, runs_N = (
        torch.searchsorted(
            each.offsets_R1.long(), torch.arange(len(tokens)), right=True, side="right"
        )
        for each, tokens in ((stream.asking, query_MHE), (stream.runs, key_NHE))
    )
    mask_MN = runs_M[:, None] == runs_N
    if stream.half_window is not None:
        places_N = torch.arange(len(key_NHE))
        mask_MN = mask_MN & ((places_N[:, None] - places_N).abs() <= stream.half_window)
    parts = (part.transpose(0, 1) for part in (query_MHE, key_NHE, value_NHE))
    return functional.scaled_dot_product_attention(*parts, attn_mask=mask_MN).transpose(0, 1)


def test_a_layer_whose_kernel_is_given_compiles_as_one_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, batch = lively_model(CONFIG, "stream").double(), some_batch()
    expected = MaskedLoss(model)(*batch)
    monkeypatch.setattr(attention, "loop_stream", masked_stream)
    for layer in model.model.layers:
        layer.compile(backend="aot_eager", fullgraph=True, dynamic=False)
    seen = MaskedLoss(model)(*batch)
    torch.testing.assert_close(seen, expected, **EXACT)
    for ours, theirs in zip(gradients(seen, model), gradients(expected, model), strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


@PATHS
@CONFIGS
def test_every_gradient_is_the_slope_of_the_loss(
    config: EncoderConfig, path: AttentionPath
) -> None:
    model = lively_model(config, path).double()
    batch = some_batch()
    slopes = gradients(MaskedLoss(model)(*batch), model)
    generator = torch.Generator().manual_seed(3)
    for (name, parameter), gradient in zip(model.named_parameters(), slopes, strict=True):
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        seen = slope(model, batch, parameter, direction / direction.norm())
        expected = (gradient * direction).sum() / direction.norm()
        assert expected.abs() > 1e-4, name
        assert seen == pytest.approx(expected.item(), rel=2e-8), name


@torch.no_grad()
def slope(
    model: MaskedLanguageModel,
    batch: tuple[Batch, Tensor, Tensor],
    parameter: Tensor,
    direction: Tensor,
) -> float:
    """Of the loss along `direction`, by central differences of fourth order."""
    start, step, losses = parameter.clone(), 1e-4, {}
    for steps in (-2, -1, 1, 2):
        parameter.copy_(start + steps * step * direction)
        losses[steps] = MaskedLoss(model)(*batch).item()
    parameter.copy_(start)
    return (8 * (losses[1] - losses[-1]) - (losses[2] - losses[-2])) / (12 * step)


@pytest.mark.parametrize("num_positions", [0, 1, 7, 300])
@pytest.mark.parametrize("part_numbers", [None, 1, 37 * 100])
@pytest.mark.parametrize("compiled", [None, prediction_loss.logit_gradients])
def test_the_fused_loss_is_the_cross_entropy_of_the_logits_whatever_its_parts(
    num_positions: int,
    part_numbers: int | None,
    compiled: prediction_loss.LogitGradients | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if part_numbers is not None:
        monkeypatch.setattr(prediction_loss, "PART_NUMBERS", part_numbers)
        monkeypatch.setattr(prediction_loss, "COMPILED_PART_NUMBERS", part_numbers)
    generator = torch.Generator().manual_seed(num_positions)
    shapes = (num_positions, 6), (37, 6), (37,)
    inputs = [torch.randn(s, generator=generator).double().requires_grad_() for s in shapes]
    targets_M = torch.randint(0, 37, (num_positions,), generator=generator)
    targets_M[::3] = IGNORED
    fused = 0.3 * prediction_loss.prediction_loss(*inputs, targets_M, compiled)
    logits_MV = functional.linear(*inputs)
    plain = 0.3 * functional.cross_entropy(
        logits_MV, targets_M, ignore_index=IGNORED, reduction="sum"
    )
    torch.testing.assert_close(fused, plain, **EXACT)
    for ours, theirs in zip(
        torch.autograd.grad(fused, inputs), torch.autograd.grad(plain, inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs, **EXACT)


def test_the_fused_loss_passes_autograds_own_check() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = (5, 4), (7, 4), (7,)
    inputs = [torch.randn(s, generator=generator).double().requires_grad_() for s in shapes]
    targets_M = torch.tensor([0, 6, IGNORED, 2, 2])
    assert torch.autograd.gradcheck(
        lambda *values: prediction_loss.prediction_loss(*values, targets_M), inputs
    )


def test_a_second_derivative_of_the_fused_loss_is_refused_rather_than_wrong() -> None:
    values = torch.ones(2, 3), torch.eye(5, 3), torch.zeros(5)
    inputs = [value.double().requires_grad_() for value in values]
    loss = prediction_loss.prediction_loss(*inputs, torch.tensor([1, 4]))
    (slope_MD,) = torch.autograd.grad(loss.square(), inputs[:1], create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(slope_MD.sum(), inputs[:1])


def test_logits_of_any_size_give_a_finite_loss_and_gradient() -> None:
    hidden_MD = torch.tensor([[1e4], [-1e4], [3e4]], requires_grad=True)
    decoder_VD = torch.tensor([[1e4], [-1e4], [0.0]], requires_grad=True)
    bias_V = torch.zeros(3, requires_grad=True)
    loss = prediction_loss.prediction_loss(
        hidden_MD, decoder_VD, bias_V, torch.tensor([0, 0, IGNORED])
    )
    assert loss.item() == pytest.approx(2e8)
    for gradient in torch.autograd.grad(loss, [hidden_MD, decoder_VD, bias_V]):
        assert gradient.isfinite().all()


def test_ignored_targets_leave_nothing_behind() -> None:
    model = lively_model(CONFIG).double()
    batch, positions_M, targets_M = some_batch()
    counts_M = torch.tensor([True, False, True, True, False, False, True])
    masked = MaskedLoss(model)(batch, positions_M, targets_M.where(counts_M, IGNORED))
    fewer = MaskedLoss(model)(batch, positions_M[counts_M], targets_M[counts_M])
    torch.testing.assert_close(masked, fewer, **EXACT)
    for ours, theirs in zip(gradients(masked, model), gradients(fewer, model), strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)
    none = MaskedLoss(model)(batch, positions_M, torch.full_like(targets_M, IGNORED))
    assert none.item() == 0
    assert all(gradient.eq(0).all() for gradient in gradients(none, model))


@CONFIGS
def test_both_losses_of_single_precision_are_one(config: EncoderConfig) -> None:
    model = lively_model(config)
    batch, positions_M, targets_M = some_batch()
    fused = MaskedLoss(model)(batch, positions_M, targets_M)
    plain = summed_loss(model(batch, positions_M), targets_M)
    torch.testing.assert_close(fused, plain, atol=0, rtol=1e-6)
    for ours, theirs in zip(gradients(fused, model), gradients(plain, model), strict=True):
        assert (ours - theirs).norm() < 1e-5 * theirs.norm()


def counted_flops(model: MaskedLanguageModel, *, row_tokens: int, num_masked: int) -> int:
    """Of the matrix products of one forward and backward pass over two full rows, asked evenly."""
    generator = torch.Generator().manual_seed(0)
    rows = [[torch.randint(5, 50, (row_tokens,), generator=generator)] for _ in range(2)]
    positions_M = torch.arange(0, 2 * row_tokens, 2 * row_tokens // num_masked)
    counter = FlopCounterMode(display=False)
    with counter:
        MaskedLoss(model)(laid_out(rows, row_tokens), positions_M, positions_M % 50).backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("num_heads", [1, 2, 8])
def test_heads_change_neither_parameters_nor_floating_point_operations(num_heads: int) -> None:
    model = lively_model(replace(SMALL, num_heads=num_heads), "blocks")
    shape = Shape(2, 32, num_heads, 20, 128, 1)
    assert sum(p.numel() for p in model.parameters()) == num_parameters(shape, 50)
    expected = training_flops_per_token(shape, 50, row_tokens=16, mask_frac=0.25)
    assert counted_flops(model, row_tokens=16, num_masked=8) == pytest.approx(32 * expected)


@pytest.mark.parametrize("num_heads", [1, 4])
def test_one_head_learns_and_so_do_four(num_heads: int) -> None:
    config = replace(SMALL, num_heads=num_heads)
    model = MaskedLanguageModel(config)
    initialize(model, config, 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    # Every document counts upwards, so that its neighbours give a masked token away.
    counting = [[5 + (torch.arange(12) + start) % 45] for start in range(0, 45, 3)]
    positions_M = torch.arange(4, 12 * len(counting), 12)
    targets_M = laid_out(counting, 12).token_ids_BL.flatten()[positions_M]
    batch = laid_out(counting, 12)
    batch.token_ids_BL.flatten()[positions_M] = config.mask_id
    losses = []
    for _ in range(100):
        loss = MaskedLoss(model)(batch, positions_M, targets_M) / len(targets_M)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 3.5  # about the logarithm of the vocabulary
    assert losses[-1] < 1.0
