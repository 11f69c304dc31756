"""Moves vectors between the order of tokens and that of heads, turning them on the way.

Projections write all heads of a token one after the other; attention reads all tokens of a head.
One pass over memory does what would take torch several: it gathers the sequences, turns queries
and keys by their rotary positions in float32 and rounds once.

Letters: N tokens in a row, P parts of a token (its query, key and value), H heads, E head size, F
half of it, S sequences, L the longest, G = S·H.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.blocks import Extents
from model.head_kernels import (
    Both,
    Tables,
    copy_to_heads,
    copy_to_tokens,
    turn_to_heads,
    turn_to_tokens,
)
from model.threads import shared_out

DTYPES = (torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Turn:
    """By how much each token's vectors turn, and what they are multiplied by, either way.

    Attributes:
        cos_NF: float32.
        sin_NF: float32.
        scale: of the turned vectors.
    """

    cos_NF: Tensor
    sin_NF: Tensor
    scale: float = 1.0

    def at(self, positions_M: Tensor) -> "Turn":
        """The turn of some tokens."""
        return replace(self, cos_NF=self.cos_NF[positions_M], sin_NF=self.sin_NF[positions_M])

    def tables(self, dtype: torch.dtype) -> Tables:
        """What the kernels read, the scale as precise as they compute with vectors of `dtype`."""
        precise = np.float64 if dtype == torch.float64 else np.float32
        return Tables(_array(self.cos_NF), _array(self.sin_NF), precise(self.scale))


def to_heads(tokens_NPHE: Tensor, part: int, where: Extents, turn: Turn | None = None) -> Tensor:
    """``vectors_GLE`` of the sequences' heads, contiguous, zero past the sequences' ends.

    Args:
        tokens_NPHE: on the CPU, contiguous, of one of `DTYPES`.
        part: which of P.
        where: the sequences.
        turn: of the vectors; None leaves them.
    """
    _, _, num_heads, size = tokens_NPHE.shape
    vectors_SHLE = tokens_NPHE.new_empty(len(where), num_heads, where.longest, size)
    kernel = copy_to_heads if turn is None else turn_to_heads
    _move(kernel, tokens_NPHE, part, where, vectors_SHLE, turn)
    return vectors_SHLE.flatten(0, 1)


def to_tokens(
    vectors_GLE: Tensor, tokens_NPHE: Tensor, part: int, where: Extents, turn: Turn | None = None
) -> None:
    """Writes the sequences' `tokens_NPHE`, turned the other way than by `to_heads`."""
    _, _, num_heads, size = tokens_NPHE.shape
    kernel = copy_to_tokens if turn is None else turn_to_tokens
    vectors_SHLE = vectors_GLE.view(len(where), num_heads, where.longest, size)
    _move(kernel, tokens_NPHE, part, where, vectors_SHLE, turn)


def _move(
    kernel: Callable[..., None],
    tokens_NPHE: Tensor,
    part: int,
    where: Extents,
    vectors_SHLE: Tensor,
    turn: Turn | None,
) -> None:
    both = Both(_array(tokens_NPHE), part, where.starts_S, where.lengths_S, _array(vectors_SHLE))
    arguments = (both,) if turn is None else (both, turn.tables(tokens_NPHE.dtype))
    num_places = len(where) * where.longest
    shared_out(lambda first, end: kernel(first, end, *arguments), num_places)


def _array(values: Tensor) -> NDArray[Any]:
    """The tensor's own memory, as the kernels read it."""
    assert values.is_contiguous()
    if values.dtype == torch.bfloat16:
        return values.detach().view(torch.int16).numpy().view(np.uint16)
    array: NDArray[Any] = values.detach().numpy()
    return array
