"""The kernels of `model.head_order`, compiled.

Arrays of bfloat16, which numpy does not know, are read as their bits (uint16); float32 and
float64 as they are. Places are numbered over all sequences, so that they can be shared out evenly.

Letters: N tokens in a row, P parts of a token (its query, key and value), H heads, E head size, F
half of it, S sequences, L the longest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from model.compiled import compiled

Array = NDArray[Any]
Int64s = NDArray[np.int64]

_SIXTEEN, _ONE = np.uint32(16), np.uint32(1)
_ALMOST_HALF = np.uint32(0x7FFF)  # of the last bit that is kept
_WITHOUT_SIGN = np.uint32(0x7FFFFFFF)
_INFINITY, _NAN = np.uint32(0x7F800000), np.uint16(0x7FC0)


@compiled
def copy_to_heads(
    first: int,
    end: int,
    tokens_NPHE: Array,
    part: int,
    starts_S: Int64s,
    lengths_S: Int64s,
    heads_SHLE: Array,
) -> None:
    """Fill the places from `first` to `end`."""
    _, num_heads, longest, size = heads_SHLE.shape
    for place in range(first, end):
        s, at = place // longest, place % longest
        if at >= lengths_S[s]:
            empty(heads_SHLE, s, at)
            continue
        token = starts_S[s] + at
        for h in range(num_heads):
            for e in range(size):
                heads_SHLE[s, h, at, e] = tokens_NPHE[token, part, h, e]


@compiled
def turn_to_heads(
    first: int,
    end: int,
    tokens_NPHE: Array,
    part: int,
    starts_S: Int64s,
    lengths_S: Int64s,
    heads_SHLE: Array,
    cos_NF: Array,
    sin_NF: Array,
    scale: float,
) -> None:
    """The same, and turn what is moved, times `scale`."""
    _, num_heads, longest, size = heads_SHLE.shape
    half = size // 2
    for place in range(first, end):
        s, at = place // longest, place % longest
        if at >= lengths_S[s]:
            empty(heads_SHLE, s, at)
            continue
        token = starts_S[s] + at
        for h in range(num_heads):
            for f in range(half):
                x = number(tokens_NPHE[token, part, h, f])
                y = number(tokens_NPHE[token, part, h, f + half])
                cos, sin = cos_NF[token, f], sin_NF[token, f]
                heads_SHLE[s, h, at, f] = stored(heads_SHLE, (x * cos - y * sin) * scale)
                heads_SHLE[s, h, at, f + half] = stored(heads_SHLE, (y * cos + x * sin) * scale)


@compiled
def copy_to_tokens(
    first: int,
    end: int,
    tokens_NPHE: Array,
    part: int,
    starts_S: Int64s,
    lengths_S: Int64s,
    heads_SHLE: Array,
) -> None:
    """Move the places from `first` to `end` back, as far as there are tokens."""
    _, num_heads, longest, size = heads_SHLE.shape
    for place in range(first, end):
        s, at = place // longest, place % longest
        if at >= lengths_S[s]:
            continue
        token = starts_S[s] + at
        for h in range(num_heads):
            for e in range(size):
                tokens_NPHE[token, part, h, e] = heads_SHLE[s, h, at, e]


@compiled
def turn_to_tokens(
    first: int,
    end: int,
    tokens_NPHE: Array,
    part: int,
    starts_S: Int64s,
    lengths_S: Int64s,
    heads_SHLE: Array,
    cos_NF: Array,
    sin_NF: Array,
    scale: float,
) -> None:
    """The same, and turn what is moved the other way than `turn_to_heads`, times `scale`."""
    _, num_heads, longest, size = heads_SHLE.shape
    half = size // 2
    for place in range(first, end):
        s, at = place // longest, place % longest
        if at >= lengths_S[s]:
            continue
        token = starts_S[s] + at
        for h in range(num_heads):
            for f in range(half):
                x = number(heads_SHLE[s, h, at, f])
                y = number(heads_SHLE[s, h, at, f + half])
                cos, sin = cos_NF[token, f], sin_NF[token, f]
                tokens_NPHE[token, part, h, f] = stored(tokens_NPHE, (x * cos + y * sin) * scale)
                tokens_NPHE[token, part, h, f + half] = stored(
                    tokens_NPHE, (y * cos - x * sin) * scale
                )


@compiled
def empty(heads_SHLE: Array, s: int, at: int) -> None:
    """Fill a place that has no token with zeros."""
    _, num_heads, _, size = heads_SHLE.shape
    for h in range(num_heads):
        for e in range(size):
            heads_SHLE[s, h, at, e] = 0


def number(element: Any) -> Any:
    """The number that an array's element stands for; known inside kernels only."""
    raise NotImplementedError


def stored(array: Any, value: Any) -> Any:
    """How an array keeps a number, rounded to the nearest; known inside kernels only."""
    raise NotImplementedError


@overload(number, inline="always")
def _number(element: Any) -> Callable[..., Any]:
    def as_it_is(element: Any) -> Any:
        return element

    def of_bfloat16(element: Any) -> Any:
        return np.uint32(np.uint32(element) << _SIXTEEN).view(np.float32)

    return of_bfloat16 if element == types.uint16 else as_it_is


@overload(stored, inline="always")
def _stored(array: Any, value: Any) -> Callable[..., Any]:
    def as_it_is(array: Any, value: Any) -> Any:
        return value

    def nearest_bfloat16(array: Any, value: Any) -> Any:
        bits = np.float32(value).view(np.uint32)
        if bits & _WITHOUT_SIGN > _INFINITY:
            return _NAN
        # Half of the last bit kept, or a little less where that bit is even.
        return np.uint16((bits + _ALMOST_HALF + ((bits >> _SIXTEEN) & _ONE)) >> _SIXTEEN)

    return nearest_bfloat16 if array.dtype == types.uint16 else as_it_is
