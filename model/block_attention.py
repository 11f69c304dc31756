"""Attention inside sequences on a processor, as batched matrix products over blocks.

What `torch.nn.functional.scaled_dot_product_attention` computes, with no work on pairs of
positions in different sequences, and in bfloat16 at the speed of its matrix products. Queries and
keys are turned inside, in float32, so that nothing but the turned ones is kept. The probabilities
are kept for the backward pass: S·H·L² numbers a block.

Letters: N tokens of the flattened batch, H heads, E head size, F half of it, S sequences of a
block, L its longest, G = S·H.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.blocks import Block, Blocks
from model.rotary import wide

MAX_LENGTH = 1024  # tokens; for longer sequences kernels that keep no probabilities are better


@dataclass(frozen=True)
class BlockNeighbourhood:
    """Who sees whom in one kind of layer, block by block.

    Attributes:
        blocks: where the sequences are.
        biases: for each block float32, broadcasting to ``(S, H, L, L)``, minus infinity where a
            position is not seen; None where all are.
        cos_NF: float32 rotary table of the flattened batch.
        sin_NF: float32 rotary table of the flattened batch.
    """

    blocks: Blocks
    biases: tuple[Tensor | None, ...]
    cos_NF: Tensor
    sin_NF: Tensor


def block_neighbourhood(
    blocks: Blocks, cos_NF: Tensor, sin_NF: Tensor, half_window: int | None
) -> BlockNeighbourhood:
    """The neighbourhood of full (`half_window` None) or of sliding-window layers."""
    biases = tuple(_bias(block, half_window) for block in blocks.blocks)
    return BlockNeighbourhood(blocks, biases, cos_NF, sin_NF)


def attend_blocks(mixed_N3HE: Tensor, where: BlockNeighbourhood) -> Tensor:
    """What each token gathers from its sequence, ``gathered_NHE``, in the dtype of its input.

    Args:
        mixed_N3HE: queries, keys and values, not yet turned.
        where: of the layer.
    """
    attend: Callable[[Tensor, BlockNeighbourhood], Tensor] = _BlockAttention.apply
    return attend(mixed_N3HE, where)


class _BlockAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mixed_N3HE: Tensor, where: BlockNeighbourhood) -> Tensor:
        outputs: list[Tensor] = []
        kept: list[Tensor] = []
        for block, bias in zip(where.blocks.blocks, where.biases, strict=True):
            query_GLE, key_GLE, value_GLE = _turned(mixed_N3HE, where, block)
            share_GLL = _shares(query_GLE, key_GLE, bias, block.num_sequences)
            output_GLE = torch.bmm(share_GLL, value_GLE)
            outputs.append(_by_token(output_GLE, block))
            kept += [query_GLE, key_GLE, value_GLE, share_GLL, output_GLE]
        ctx.where = where
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(*kept)
        return where.blocks.back_home(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        where: BlockNeighbourhood = ctx.where
        kept = iter(ctx.saved_tensors)
        parts = []
        for block in where.blocks.blocks:
            d_output_GLE = _by_head(block.without_filling(block.take(grads[0])))
            gradients = _gradients(d_output_GLE, *(next(kept) for _ in range(5)))
            parts.append(_turned_back(gradients, where, block))
        return where.blocks.back_home(parts), None


def _bias(block: Block, half_window: int | None) -> Tensor | None:
    """Hides what lies past a sequence's end and outside the window."""
    places_L = torch.arange(block.length)
    seen = None
    if not block.is_full:
        seen = (places_L < block.lengths_S[:, None])[:, None, None, :]
    if half_window is not None and half_window < block.length - 1:
        near_LL = (places_L[:, None] - places_L[None, :]).abs() <= half_window
        # Past a sequence's end a place sees itself, so that no softmax runs over nothing.
        seen = near_LL if seen is None else (seen & near_LL) | torch.eye(len(near_LL)).bool()
    if seen is None:
        return None
    return torch.zeros(seen.shape).masked_fill_(~seen, float("-inf"))


def _turned(
    mixed_N3HE: Tensor, where: BlockNeighbourhood, block: Block
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries (scaled), keys and values of a block, each ``GLE``."""
    query_SLHE, key_SLHE, value_SLHE = block.take(mixed_N3HE).unbind(2)
    cos_SL1F, sin_SL1F = _table(where, block, mixed_N3HE.dtype)
    scale = query_SLHE.shape[-1] ** -0.5
    query_SLHE = _turn(query_SLHE, cos_SL1F * scale, sin_SL1F * scale)
    key_SLHE = _turn(key_SLHE, cos_SL1F, sin_SL1F)
    dtype = mixed_N3HE.dtype
    return _by_head(query_SLHE, dtype), _by_head(key_SLHE, dtype), _by_head(value_SLHE)


def _turned_back(
    gradients: tuple[Tensor, Tensor, Tensor], where: BlockNeighbourhood, block: Block
) -> Tensor:
    """The gradient of a block's queries, keys and values before their turn, by token."""
    d_query_SLHE, d_key_SLHE, d_value_SLHE = (
        each.view(block.num_sequences, -1, *each.shape[1:]).transpose(1, 2) for each in gradients
    )
    cos_SL1F, sin_SL1F = _table(where, block, d_value_SLHE.dtype)
    scale = d_query_SLHE.shape[-1] ** -0.5
    d_mixed_SL3HE = torch.stack(
        (
            _turn(d_query_SLHE, cos_SL1F * scale, -sin_SL1F * scale).to(d_value_SLHE.dtype),
            _turn(d_key_SLHE, cos_SL1F, -sin_SL1F).to(d_value_SLHE.dtype),
            d_value_SLHE,
        ),
        dim=2,
    )
    return d_mixed_SL3HE.flatten(0, 1)


def _table(where: BlockNeighbourhood, block: Block, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The rotary table of a block, in float32 at least: it is multiplied by the scores' scale."""
    dtype = torch.promote_types(dtype, torch.float32)
    cos_SLF, sin_SLF = (block.take(table).to(dtype) for table in (where.cos_NF, where.sin_NF))
    return cos_SLF[:, :, None], sin_SLF[:, :, None]


def _turn(vectors_E: Tensor, cos_F: Tensor, sin_F: Tensor) -> Tensor:
    """`model.rotary.rotate` in float32 at least, with few passes over memory."""
    vectors_E = wide(vectors_E)
    first_F, second_F = vectors_E.chunk(2, dim=-1)
    turned_E = torch.empty(vectors_E.shape, dtype=vectors_E.dtype)
    turned_first_F, turned_second_F = turned_E.chunk(2, dim=-1)
    torch.mul(first_F, cos_F, out=turned_first_F).addcmul_(second_F, sin_F, value=-1)
    torch.mul(second_F, cos_F, out=turned_second_F).addcmul_(first_F, sin_F)
    return turned_E


def _shares(query_GLE: Tensor, key_GLE: Tensor, bias: Tensor | None, num_sequences: int) -> Tensor:
    """How much each position takes from each other one: softmax of the scaled products."""
    scores_GLL = torch.bmm(query_GLE, key_GLE.mT)
    if bias is not None:
        scores_SHLL = scores_GLL.view(num_sequences, -1, *scores_GLL.shape[1:])
        scores_SHLL.add_(bias.to(scores_GLL.dtype))
    return scores_GLL.softmax(dim=-1)


def _gradients(
    d_output_GLE: Tensor,
    query_GLE: Tensor,
    key_GLE: Tensor,
    value_GLE: Tensor,
    share_GLL: Tensor,
    output_GLE: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values.

    The softmax's needs the sum of probability times gradient along each row, which is the sum of
    output times gradient (Dao et al. 2022, "FlashAttention", appendix B.4).
    """
    d_value_GLE = torch.bmm(share_GLL.mT, d_output_GLE)
    d_scores_GLL = torch.bmm(d_output_GLE, value_GLE.mT)
    row_sums_GL1 = (d_output_GLE * output_GLE).sum(dim=-1, keepdim=True)
    d_scores_GLL.sub_(row_sums_GL1).mul_(share_GLL)
    return torch.bmm(d_scores_GLL, key_GLE), torch.bmm(d_scores_GLL.mT, query_GLE), d_value_GLE


def _by_head(vectors_SLHE: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """``vectors_GLE``, contiguous."""
    num_sequences, length, num_heads, size = vectors_SLHE.shape
    shape = (num_sequences, num_heads, length, size)
    vectors_SHLE = torch.empty(shape, dtype=dtype or vectors_SLHE.dtype)
    return vectors_SHLE.copy_(vectors_SLHE.transpose(1, 2)).flatten(0, 1)


def _by_token(vectors_GLE: Tensor, block: Block) -> Tensor:
    """``vectors_NHE`` of the block's tokens."""
    vectors_SHLE = vectors_GLE.view(block.num_sequences, -1, *vectors_GLE.shape[1:])
    return vectors_SHLE.transpose(1, 2).flatten(0, 1)
