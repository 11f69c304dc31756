"""What one attention head is worth: the loss without it, less the loss with all heads.

A head is removed by setting its part of what attention gathers to zero, before the projection back
to the hidden width (Michel et al. 2019, arXiv 1905.10650, section 3). Nothing is trained after
that, so other heads could make up for more than this shows.

Letters: K layers, H heads, E head size, S sequences, M gaps, D hidden width.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from model.attention import Neighbourhood, neighbourhood
from model.encoder import Encoder, EncoderLayer
from model.errors import RequestError
from model.intervals import sum_by_group
from model.layer_loss import guess
from model.masked_sequences import GapBatch, gap_batches
from model.masking import MaskedRow
from model.mlm import MaskedLanguageModel

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
def without_head(encoder: Encoder, layer: int, head: int) -> Iterator[None]:
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

    handle = _layers(encoder)[layer - 1].attn.Wo.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        handle.remove()


@torch.inference_mode()
def ablate_heads(
    model: MaskedLanguageModel,
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
    config, device = model.config, model.decoder.weight.device
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


def _losses(model: MaskedLanguageModel, gaps: GapBatch) -> Tensor:
    """``loss_MX`` with X = 1 + K H: first with all heads, then without each, layer by layer."""
    encoder = model.model
    # Over rows, as `Encoder.observe` computes.
    places = {
        full: neighbourhood(gaps.batch, encoder.config, full=full, over="rows")
        for full in {layer.is_full for layer in _layers(encoder)}
    }
    states = [encoder.embeddings(gaps.batch.token_ids_BL)]
    for layer in _layers(encoder)[:-1]:
        states.append(layer(states[-1], places[layer.is_full]))
    losses = [_loss_from(model, len(states), states[-1], places, gaps)]
    for number, hidden_BLD in enumerate(states, start=1):
        for head in range(encoder.config.num_heads):
            with without_head(encoder, number, head):
                losses.append(_loss_from(model, number, hidden_BLD, places, gaps))
    return torch.stack(losses, dim=1)


def _loss_from(
    model: MaskedLanguageModel,
    first: int,
    hidden_BLD: Tensor,
    places: dict[bool, Neighbourhood],
    gaps: GapBatch,
) -> Tensor:
    """``loss_M`` from what layer number `first` (from 1) is given."""
    *before, last = _layers(model.model)[first - 1 :]
    for layer in before:
        hidden_BLD = layer(hidden_BLD, places[layer.is_full])
    hidden_MD = last(hidden_BLD, places[last.is_full], gaps.positions_M)
    return guess(model, model.model.final_norm(hidden_MD), gaps.targets_M)[0]


def _layers(encoder: Encoder) -> list[EncoderLayer]:
    return cast("list[EncoderLayer]", list(encoder.layers))
