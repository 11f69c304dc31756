"""The kernels of `model.head_order`, compiled.

Arrays of bfloat16, which numpy does not know, are read as their bits (uint16); float32 and
float64 as they are. Places are numbered over all sequences, so that they can be shared out evenly.

Letters: N tokens in a row, P parts of a token (its query, key and value), H heads, E head size, F
half of it, S sequences, L the longest.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

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


class Both(NamedTuple):
    """The same vectors in both orders, and where the sequences lie among the tokens."""

    tokens_NPHE: Array
    part: int
    starts_S: Int64s
    lengths_S: Int64s
    heads_SHLE: Array


class Tables(NamedTuple):
    """What turns a token's vectors, and what they are multiplied by."""

    cos_NF: Array
    sin_NF: Array
    scale: np.floating[Any]  # as precise as the numbers computed with


@compiled
def copy_to_heads(first: int, end: int, both: Both) -> None:
    """Fill the places of heads from `first` to `end`."""
    _, num_heads, longest, size = both.heads_SHLE.shape
    for place in range(first, end):
        s, at = place // longest, place % longest
        if at >= both.lengths_S[s]:
            empty(both.heads_SHLE, s, at)
            continue
        token = both.starts_S[s] + at
        for h in range(num_heads):
            for e in range(size):
                both.heads_SHLE[s, h, at, e] = both.tokens_NPHE[token, both.part, h, e]


@compiled
def turn_to_heads(first: int, end: int, both: Both, tables: Tables) -> None:
    """The same, and turn what is moved."""
    tokens_NPHE, part, heads_SHLE = both.tokens_NPHE, both.part, both.heads_SHLE
    _, num_heads, longest, size = heads_SHLE.shape
    half = size // 2
    for place in range(first, end):
        s, at = place // longest, place % longest
        if at >= both.lengths_S[s]:
            empty(heads_SHLE, s, at)
            continue
        token = both.starts_S[s] + at
        for h in range(num_heads):
            for f in range(half):
                x = number(tokens_NPHE[token, part, h, f])
                y = number(tokens_NPHE[token, part, h, f + half])
                cos, sin = tables.cos_NF[token, f], tables.sin_NF[token, f]
                x_turned, y_turned = x * cos - y * sin, y * cos + x * sin
                heads_SHLE[s, h, at, f] = stored(heads_SHLE, x_turned * tables.scale)
                heads_SHLE[s, h, at, f + half] = stored(heads_SHLE, y_turned * tables.scale)


@compiled
def copy_to_tokens(first: int, end: int, both: Both) -> None:
    """Move the places of heads from `first` to `end` back, as far as there are tokens."""
    _, num_heads, longest, size = both.heads_SHLE.shape
    for place in range(first, end):
        s, at = place // longest, place % longest
        if at >= both.lengths_S[s]:
            continue
        token = both.starts_S[s] + at
        for h in range(num_heads):
            for e in range(size):
                both.tokens_NPHE[token, both.part, h, e] = both.heads_SHLE[s, h, at, e]


@compiled
def turn_to_tokens(first: int, end: int, both: Both, tables: Tables) -> None:
    """The same, and turn what is moved the other way than `turn_to_heads`."""
    tokens_NPHE, part, heads_SHLE = both.tokens_NPHE, both.part, both.heads_SHLE
    _, num_heads, longest, size = heads_SHLE.shape
    half = size // 2
    for place in range(first, end):
        s, at = place // longest, place % longest
        if at >= both.lengths_S[s]:
            continue
        token = both.starts_S[s] + at
        for h in range(num_heads):
            for f in range(half):
                x = number(heads_SHLE[s, h, at, f])
                y = number(heads_SHLE[s, h, at, f + half])
                cos, sin = tables.cos_NF[token, f], tables.sin_NF[token, f]
                x_back, y_back = x * cos + y * sin, y * cos - x * sin
                tokens_NPHE[token, part, h, f] = stored(tokens_NPHE, x_back * tables.scale)
                tokens_NPHE[token, part, h, f + half] = stored(tokens_NPHE, y_back * tables.scale)


@compiled
def empty(heads_SHLE: Array, s: int, at: int) -> None:
    """Fill a place that has no token with zeros."""
    _, num_heads, _, size = heads_SHLE.shape
    for h in range(num_heads):
        for e in range(size):
            heads_SHLE[s, h, at, e] = 0


@compiled
def of_bfloat16(bits: np.uint16) -> np.float32:
    """The number that the bits stand for."""
    wide: np.float32 = np.uint32(np.uint32(bits) << _SIXTEEN).view(np.float32)
    return wide


@compiled
def nearest_bfloat16(value: np.float32) -> np.uint16:
    """The bits of the nearest number; of two as near the one whose last bit is zero."""
    bits = np.float32(value).view(np.uint32)
    if bits & _WITHOUT_SIGN > _INFINITY:
        return _NAN
    # Half of the last bit kept, or a little less where that bit is zero.
    return np.uint16((bits + _ALMOST_HALF + ((bits >> _SIXTEEN) & _ONE)) >> _SIXTEEN)


def number(element: Any) -> Any:
    """The number that an array's element stands for."""
    return of_bfloat16(element) if isinstance(element, np.uint16) else element


def stored(array: Array, value: Any) -> Any:
    """How an array keeps a number, rounded to the nearest."""
    return nearest_bfloat16(value) if array.dtype == np.uint16 else value


# The same two inside kernels, where the array's type decides once and not for each element.


@overload(number, inline="always")
def _number(element: Any) -> Callable[..., Any]:
    def as_it_is(element: Any) -> Any:
        return element

    def of_bits(element: Any) -> Any:
        return of_bfloat16(element)

    return of_bits if element == types.uint16 else as_it_is


@overload(stored, inline="always")
def _stored(array: Array, value: Any) -> Callable[..., Any]:
    def as_it_is(array: Array, value: Any) -> Any:
        return value

    def as_bits(array: Array, value: Any) -> Any:
        return nearest_bfloat16(value)

    return as_bits if array.dtype == types.uint16 else as_it_is
