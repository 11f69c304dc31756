"""What attention heads look at: spread, reach, and shares on chosen places.

Sums over the queries of each sequence, so that means and intervals follow without keeping any
attention map. Queries are real tokens; keys are all that they may attend to.

Letters: B rows, L positions in a row, H heads, S sequences, N tokens, M measures.
"""

import torch
from torch import Tensor

from model.intervals import sum_by_group

HEAD_MEASURES = (
    "entropy",
    "distance",
    "share_self",
    "share_previous",
    "share_next",
    "share_special",
)


def head_sums(
    attention_BHLL: Tensor, sequence_ids_BL: Tensor, is_real_BL: Tensor, *, num_sequences: int
) -> Tensor:
    """Sum each head's measures over the real tokens of each sequence.

    In the order of `HEAD_MEASURES`: entropy of the token's attention in nats; mean distance in
    tokens to where it looks; and the share of its attention on itself, on the token before, on
    the token after, and on special tokens. The last can overlap the two before it.

    Args:
        attention_BHLL: weights, queries down and keys across; a row sums to 1 over the query's
            own sequence and is 0 outside of it.
        sequence_ids_BL: int64, 1..S, 0 on padding.
        is_real_BL: bool, True on tokens of text, False on special tokens and padding.
        num_sequences: S.

    Returns:
        sums_SHM: float64; divide by the number of real tokens for means.

    Source: Clark et al. 2019, section 3; Vig and Belinkov 2019 for distance.
    Cost: O(B H L^2).
    """
    is_special_BL = (sequence_ids_BL > 0) & ~is_real_BL
    per_query = [
        torch.special.entr(attention_BHLL).sum(-1),
        _mean_distance(attention_BHLL),
        _share_at(attention_BHLL, 0),
        _share_at(attention_BHLL, -1),
        _share_at(attention_BHLL, 1),
        (attention_BHLL @ is_special_BL[:, None, :, None].to(attention_BHLL.dtype)).squeeze(-1),
    ]
    measures_NHM = torch.stack(per_query, dim=-1).transpose(1, 2)[is_real_BL]
    return sum_by_group(measures_NHM, sequence_ids_BL[is_real_BL] - 1, num_sequences)


def _mean_distance(attention_BHLL: Tensor) -> Tensor:
    position_L = torch.arange(attention_BHLL.shape[-1], device=attention_BHLL.device)
    distance_LL = (position_L[:, None] - position_L[None, :]).abs().to(attention_BHLL.dtype)
    return torch.einsum("bhij,ij->bhi", attention_BHLL, distance_LL)


def _share_at(attention_BHLL: Tensor, offset: int) -> Tensor:
    """Each query's weight on the key `offset` places to the right; 0 past the row's ends."""
    share = attention_BHLL.diagonal(offset, dim1=-2, dim2=-1)
    return torch.nn.functional.pad(share, (max(0, -offset), max(0, offset)))
