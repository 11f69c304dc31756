"""What one attention head is worth: the loss without it, less the loss with all heads.

A head is removed by setting its part of what attention gathers to zero, before the projection back
to the hidden width (Michel et al. 2019, arXiv 1905.10650, section 3). Nothing is trained after
that, so other heads could make up for more than this shows.

Letters: K layers, H heads, E head size, S sequences, M gaps, D hidden width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.errors import RequestError
from model.inspection import Inspectable, MaskedPredictor
from model.intervals import sum_by_group
from model.layer_loss import guess
from model.masked_sequences import GapBatch, gap_batches
from model.masking import MaskedRow

TOKENS_PER_BATCH = 4096


@dataclass(frozen=True)
class HeadLosses:
    """Masked-token loss with all heads and without each, on the same gaps.

    Attributes:
        whole_S: float64, nats summed over each sequence's gaps, with all heads.
        without_SKH: float64, the same without a head; entry k of K is layer k + 1.
        num_gaps_S: int64.
        num_layer_passes: how often a layer was computed for the whole of the sequences.
    """

    whole_S: Tensor
    without_SKH: Tensor
    num_gaps_S: Tensor
    num_layer_passes: int


@contextmanager
def without_head(encoder: Inspectable, layer: int, head: int) -> Iterator[None]:
    """Inside, `encoder` computes as if one head gathered nothing; weights are never touched.

    Args:
        encoder: to compute with; what it is compiled into is not changed.
        layer: from 1, as observations count.
        head: from 0.

    Raises:
        RequestError: there is no such head.
    """
    config = encoder.config
    if not (1 <= layer <= config.num_layers and 0 <= head < config.num_heads):
        raise RequestError(
            f"there is no head {head} in layer {layer}: the encoder has layers 1 to "
            f"{config.num_layers} with heads 0 to {config.num_heads - 1}"
        )
    first = head * config.head_size

    def silence(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
        gathered_BLD = inputs[0].clone()
        gathered_BLD[..., first : first + config.head_size] = 0
        return (gathered_BLD,)

    handle = encoder.output_projections()[layer - 1].register_forward_pre_hook(silence)
    try:
        yield
    finally:
        handle.remove()


@torch.inference_mode()
def ablate_heads(
    model: MaskedPredictor,
    masked: Sequence[MaskedRow],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    on_batch: Callable[[int], None] = lambda num_sequences: None,
) -> HeadLosses:
    """The loss without each head in turn, on the gaps of the given sequences.

    Layers below the head are computed once: what they leave is the same without it.

    Args:
        model: as trained.
        masked: the sequences.
        tokens_per_batch: are computed at once; memory: K D floats for each.
        on_batch: hears how many sequences are done.

    Cost: H K (K + 1) / 2 + K layers, and head and decoder H K + 1 times for each gap.
    """
    config, device = model.config, next(model.parameters()).device
    num_layers, num_heads = config.num_layers, config.num_heads
    shape = len(masked), 1 + num_layers * num_heads
    sums_SX = torch.zeros(shape, dtype=torch.float64, device=device)
    counts_S = torch.zeros(len(masked), dtype=torch.int64, device=device)
    num_done = 0
    for gaps in gap_batches(masked, config, tokens_per_batch=tokens_per_batch, device=device):
        sums_SX += sum_by_group(_losses(model, gaps), gaps.sequence_M, len(masked))
        counts_S += torch.bincount(gaps.sequence_M, minlength=len(masked))
        num_done += gaps.batch.num_sequences
        on_batch(num_done)
    return HeadLosses(
        sums_SX[:, 0],
        sums_SX[:, 1:].reshape(len(masked), num_layers, num_heads),
        counts_S,
        num_heads * num_layers * (num_layers + 1) // 2 + num_layers,
    )


def _losses(model: MaskedPredictor, gaps: GapBatch) -> Tensor:
    """``loss_MX`` with X = 1 + K H: first with all heads, then without each, layer by layer."""
    encoder = model.model
    steps = encoder.steps(gaps.batch)
    states = [encoder.embed(gaps.batch)]
    for step in steps[:-1]:
        states.append(step(states[-1]))
    losses = [_loss_from(model, steps[-1:], states[-1], gaps)]
    for number, hidden_BLD in enumerate(states, start=1):
        for head in range(encoder.config.num_heads):
            with without_head(encoder, number, head):
                losses.append(_loss_from(model, steps[number - 1 :], hidden_BLD, gaps))
    return torch.stack(losses, dim=1)


def _loss_from(
    model: MaskedPredictor,
    steps: Sequence[Callable[..., Tensor]],
    hidden_BLD: Tensor,
    gaps: GapBatch,
) -> Tensor:
    """``loss_M`` from what the first of these layers is given."""
    *before, last = steps
    for step in before:
        hidden_BLD = step(hidden_BLD)
    hidden_MD = last(hidden_BLD, positions_M=gaps.positions_M)
    return guess(model, model.model.final_norm(hidden_MD), gaps.targets_M)[0]
