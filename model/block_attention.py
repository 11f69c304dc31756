"""Attention inside sequences on a processor, as batched matrix products over blocks.

What `torch.nn.functional.scaled_dot_product_attention` computes, with no work on pairs of
positions in different sequences, and in bfloat16 at the speed of its matrix products. Not every
token need ask: of the others only keys and values are needed. The probabilities are kept for the
backward pass: S·H·Q·L numbers a block.

Letters: N tokens of the flattened batch, M of them that ask, P parts of a token (query, key and
value), H heads, E head size, F half of it, S sequences of a block, L its longest, Q the most that
ask in one, G = S·H.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from model.blocks import Extents, Int64s
from model.head_order import Turn, to_heads, to_tokens

MAX_LENGTH = 1024  # tokens; for longer sequences kernels that keep no probabilities are better


@dataclass(frozen=True)
class Block:
    """Sequences of about one length.

    Attributes:
        queries: where each sequence's queries lie among all.
        keys: where its tokens lie in the flattened batch.
        bias: float32, broadcasting to ``(S, H, Q, L)``, minus infinity where a position is not
            seen; None where all are.
    """

    queries: Extents
    keys: Extents
    bias: Tensor | None


@dataclass(frozen=True)
class BlockNeighbourhood:
    """Who sees whom in one kind of layer, block by block.

    Attributes:
        blocks: all tokens of the batch lie in one of them.
        key_turn: of each token.
        query_turn: of each token that asks, with the scale of the scores.
        half_window: how far a position sees to each side; None = the whole sequence.
    """

    blocks: tuple[Block, ...]
    key_turn: Turn
    query_turn: Turn
    half_window: int | None

    def asked(self, positions_M: Tensor) -> "BlockNeighbourhood":
        """The same where only the ascending `positions_M` of the flattened batch ask."""
        asking_M = positions_M.numpy()
        return replace(
            self,
            blocks=tuple(_asked(block.keys, asking_M, self.half_window) for block in self.blocks),
            query_turn=self.query_turn.at(positions_M),
        )


def block_neighbourhood(
    blocks: Sequence[Extents], turn: Turn, half_window: int | None
) -> BlockNeighbourhood:
    """The neighbourhood of full (`half_window` None) or of sliding-window layers."""
    head_size = 2 * turn.cos_NF.shape[1]
    return BlockNeighbourhood(
        tuple(Block(keys, keys, _bias(_places(keys), keys, half_window)) for keys in blocks),
        turn,
        replace(turn, scale=head_size**-0.5),
        half_window,
    )


def attend_blocks(
    mixed_NPHE: Tensor, where: BlockNeighbourhood, query_M1HE: Tensor | None = None
) -> Tensor:
    """What each token that asks gathers from its sequence, ``gathered_M1HE``, in the input's dtype.

    Args:
        mixed_NPHE: of all tokens, not yet turned: queries, keys and values (P = 3); only keys and
            values (P = 2) where the queries come apart.
        where: of the layer.
        query_M1HE: queries of the tokens that ask, where those are not all.
    """
    attend: Callable[..., Tensor] = _BlockAttention.apply
    return attend(mixed_NPHE, query_M1HE, where)


class _BlockAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, mixed_NPHE: Tensor, query_M1HE: Tensor | None, where: BlockNeighbourhood
    ) -> Tensor:
        asking_MPHE = mixed_NPHE if query_M1HE is None else query_M1HE
        gathered_M1HE = torch.empty_like(asking_MPHE[:, :1], memory_format=torch.contiguous_format)
        kept: list[Tensor] = []
        for block in where.blocks:
            query_GQE = to_heads(asking_MPHE, 0, block.queries, where.query_turn)
            key_GLE = to_heads(mixed_NPHE, -2, block.keys, where.key_turn)
            value_GLE = to_heads(mixed_NPHE, -1, block.keys)
            share_GQL = _shares(query_GQE, key_GLE, block.bias, len(block.keys))
            output_GQE = torch.bmm(share_GQL, value_GLE)
            to_tokens(output_GQE, gathered_M1HE, 0, block.queries)
            kept += [query_GQE, key_GLE, value_GLE, share_GQL, output_GQE]
        ctx.where, ctx.mixed_shape = where, mixed_NPHE.shape
        ctx.save_for_backward(*kept)
        return gathered_M1HE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        where: BlockNeighbourhood = ctx.where
        d_gathered_M1HE = grads[0].contiguous()
        d_mixed_NPHE = d_gathered_M1HE.new_empty(ctx.mixed_shape)
        d_query_M1HE = torch.empty_like(d_gathered_M1HE) if ctx.mixed_shape[1] == 2 else None
        d_asking_MPHE = d_mixed_NPHE if d_query_M1HE is None else d_query_M1HE
        kept = iter(ctx.saved_tensors)
        for block in where.blocks:
            d_output_GQE = to_heads(d_gathered_M1HE, 0, block.queries)
            gradients = _gradients(d_output_GQE, *(next(kept) for _ in range(5)))
            d_query_GQE, d_key_GLE, d_value_GLE = gradients
            to_tokens(d_query_GQE, d_asking_MPHE, 0, block.queries, where.query_turn)
            to_tokens(d_key_GLE, d_mixed_NPHE, -2, block.keys, where.key_turn)
            to_tokens(d_value_GLE, d_mixed_NPHE, -1, block.keys)
        return d_mixed_NPHE, d_query_M1HE, None


def _asked(keys: Extents, asking_M: Int64s, half_window: int | None) -> Block:
    """A block of which only the tokens `asking_M` ask, ascending in the flattened batch."""
    starts_S = np.searchsorted(asking_M, keys.starts_S)
    ends_S = np.searchsorted(asking_M, keys.starts_S + keys.lengths_S)
    queries = Extents(starts_S, ends_S - starts_S)
    index_SQ = starts_S[:, None] + np.minimum(
        np.arange(queries.longest), queries.lengths_S[:, None] - 1
    )
    places_SQ = asking_M[index_SQ] - keys.starts_S[:, None]
    last_S1 = keys.lengths_S[:, None] - 1
    return Block(queries, keys, _bias(places_SQ.clip(0, last_S1), keys, half_window))


def _places(sequences: Extents) -> Int64s:
    """Each token's place in its sequence, ``places_SL``; past the end the last one's."""
    places_L = np.arange(sequences.longest)
    if sequences.are_even:
        return places_L[None]
    return np.minimum(places_L, sequences.lengths_S[:, None] - 1)


def _bias(places_SQ: Int64s, keys: Extents, half_window: int | None) -> Tensor | None:
    """Hides what lies past a sequence's end and outside the window around `places_SQ`.

    Every place is one of the sequence, and sees itself: no softmax runs over nothing.
    """
    places_L = np.arange(keys.longest)
    seen = None
    if not keys.are_even:
        seen = (places_L < keys.lengths_S[:, None])[:, None]
    if half_window is not None and half_window < keys.longest - 1:
        near_SQL = np.abs(places_SQ[:, :, None] - places_L) <= half_window
        seen = near_SQL if seen is None else near_SQL & seen
    if seen is None:
        return None
    bias_S1QL = torch.zeros(seen.shape)[:, None]
    return bias_S1QL.masked_fill_(torch.from_numpy(~seen)[:, None], float("-inf"))


def _shares(query_GQE: Tensor, key_GLE: Tensor, bias: Tensor | None, num_sequences: int) -> Tensor:
    """How much each position takes from each other one: softmax of the scaled products."""
    scores_GQL = torch.bmm(query_GQE, key_GLE.mT)
    if bias is not None:
        num_heads = len(scores_GQL) // num_sequences
        scores_SHQL = scores_GQL.view(num_sequences, num_heads, *scores_GQL.shape[1:])
        scores_SHQL.add_(bias.to(scores_GQL.dtype))
    return scores_GQL.softmax(dim=-1)


def _gradients(
    d_output_GQE: Tensor,
    query_GQE: Tensor,
    key_GLE: Tensor,
    value_GLE: Tensor,
    share_GQL: Tensor,
    output_GQE: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values.

    The softmax's needs the sum of probability times gradient along each row, which is the sum of
    output times gradient (Dao et al. 2022, "FlashAttention", appendix B.4).
    """
    d_value_GLE = torch.bmm(share_GQL.mT, d_output_GQE)
    d_scores_GQL = torch.bmm(d_output_GQE, value_GLE.mT)
    row_sums_GQ1 = (d_output_GQE * output_GQE).sum(dim=-1, keepdim=True)
    d_scores_GQL.sub_(row_sums_GQ1).mul_(share_GQL)
    return torch.bmm(d_scores_GQL, key_GLE), torch.bmm(d_scores_GQL.mT, query_GQE), d_value_GLE
