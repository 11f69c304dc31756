"""The baseline of everything that looks for heads: the word at one fixed distance.

Many relations mostly reach over the same distance, so a head or a probe that finds them shows
little unless it beats the best distance.

Letters: N words of all sentences, A sentences, O offsets.
"""

import torch
from torch import Tensor

MAX_OFFSET = 10


def offsets(max_offset: int = MAX_OFFSET) -> Tensor:
    """The distances tried, the nearest first: 1, -1, 2, -2, ... int64 [O]."""
    away_O = torch.arange(1, max_offset + 1).repeat_interleave(2)
    return away_O * torch.tensor([1, -1]).repeat(max_offset)


def offsets_right(head_N: Tensor, length_A: Tensor, *, max_offset: int = MAX_OFFSET) -> Tensor:
    """Whether a word's head stands at each of the `offsets` from it: bool [N, O].

    Never for roots. The share over the words of a relation is the same when the head looks for
    its dependent, at the opposite offset.

    Args:
        head_N: int64, the number of each word's head in its sentence, from 1; 0 for roots.
        length_A: int64, words of each sentence, in the order the words lie.
        max_offset: in words.
    """
    start_A = length_A.cumsum(0) - length_A
    place_N = torch.arange(len(head_N), device=head_N.device)
    number_N = place_N - start_A.repeat_interleave(length_A).to(head_N.device) + 1
    offset_O = offsets(max_offset).to(head_N.device)
    is_there_NO: Tensor = (head_N - number_N)[:, None] == offset_O
    return is_there_NO & (head_N > 0)[:, None]
