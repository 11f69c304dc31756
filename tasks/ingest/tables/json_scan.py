"""Cuts a stream of JSON into its outermost values without decoding them."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from tasks.ingest.reading.records import PREVIEW_BYTES
from tasks.ingest.reading.streams import HEAD_BYTES, UTF8_BOM

_BLANKS = re.compile(rb"[ \t\r\n]*+")
_FLAT = re.compile(rb'(?:[^"\[\]{}]++|"[^"\\]{0,200}+")*+')  # up to a bracket or a longer string
_UNQUOTED = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_OPENINGS, _CLOSINGS = re.compile(rb"[\[{]++"), re.compile(rb"[\]}]++")
_BARE = re.compile(rb'[^ \t\r\n,\[\]{}"]*+')  # a number, true, false or null, or none of them
_QUOTE, _BACKSLASH = ord('"'), ord("\\")


class RawValue(NamedTuple):
    """The bytes of one value.

    Attributes:
        offset: where it begins in the stream.
        data: all of it where `fits`, else at most its first 64 KiB.
        fits: whether it is no longer than allowed.
        is_closed: whether it ends before the stream does.
    """

    offset: int
    data: bytes
    num_bytes: int
    fits: bool
    is_closed: bool


class JsonStream:
    """A stream of JSON, read forward in memory of about one value."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = filter(None, iter(pieces))
        self._data = b""
        self._position = 0
        self._start = 0  # of the data in the stream
        self._skip_bom()

    @property
    def offset(self) -> int:
        """Where in the stream we are, in bytes."""
        return self._start + self._position

    def peek(self) -> bytes:
        """The next byte that is not blank; empty at the end of the stream."""
        while True:
            self._position = _end_of(_BLANKS, self._data, self._position)
            if self._position < len(self._data):
                return self._data[self._position : self._position + 1]
            if not self._refill():
                return b""

    def skip(self) -> None:
        """Go past the byte that `peek` gave."""
        self._position += 1

    def take(self, max_bytes: int) -> RawValue:
        """The value that begins at the byte that `peek` gave.

        Brackets are counted, not matched, and strings are passed over; whether that is JSON,
        decoding will tell. Takes linear time, and memory of about `max_bytes`.
        """
        kept = _Kept(self.offset, max_bytes)
        is_bare = self._data[self._position] not in b'{["'
        scan: _Bare | _Nested = _Bare() if is_bare else _Nested()
        while True:
            end = scan.advance(self._data, self._position)
            kept.extend(self._data[self._position : end])
            self._position = end
            if scan.is_closed or not self._refill():
                return kept.value(is_closed=scan.is_closed)

    def _refill(self) -> bool:
        self._start += len(self._data)
        self._data, self._position = next(self._pieces, b""), 0
        return bool(self._data)

    def _skip_bom(self) -> None:
        while len(self._data) < len(UTF8_BOM) and (piece := next(self._pieces, None)):
            self._data += piece
        if self._data.startswith(UTF8_BOM):
            self._position = len(UTF8_BOM)


class _Kept:
    """As much of a value as may be kept."""

    def __init__(self, offset: int, max_bytes: int) -> None:
        self._offset = offset
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._parts: list[bytes] = []

    def extend(self, part: bytes) -> None:
        did_fit = self._num_bytes <= self._max_bytes
        self._num_bytes += len(part)
        if self._num_bytes <= self._max_bytes:
            self._parts.append(part)
        elif did_fit or len(self._parts[0]) < PREVIEW_BYTES:
            self._parts = [b"".join([*self._parts, part])[:HEAD_BYTES]]

    def value(self, *, is_closed: bool) -> RawValue:
        fits = self._num_bytes <= self._max_bytes
        data = b"".join(self._parts)
        return RawValue(self._offset, data, self._num_bytes, fits, is_closed)


class _Bare:
    """The end of a value without quotes or brackets: whatever cannot belong to it."""

    is_closed = False

    def advance(self, data: bytes, position: int) -> int:
        end = _end_of(_BARE, data, position)
        self.is_closed = end < len(data)
        return end


class _Nested:
    """The end of a string, object or array, seen piece by piece."""

    def __init__(self) -> None:
        self.is_closed = False
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False  # the last piece ended in a backslash that counts

    def advance(self, data: bytes, position: int) -> int:
        """Where the value ends in `data`, or where `data` does."""
        if self._is_in_string:
            position = self._pass_string(data, position)
        elif self._depth == 0:
            position = self._pass_mark(data, position)
        while self._depth and not self._is_in_string:
            position = _end_of(_FLAT, data, position)
            if position == len(data):
                return position
            position = self._pass_mark(data, position)
        self.is_closed = self._depth == 0 and not self._is_in_string
        return position

    def _pass_mark(self, data: bytes, position: int) -> int:
        """Behind a run of brackets or the string that begin here."""
        mark = data[position]
        if mark == _QUOTE:
            return self._pass_string(data, position + 1)
        if mark in b"{[":
            end = _end_of(_OPENINGS, data, position)
            self._depth += end - position
        else:
            end = min(_end_of(_CLOSINGS, data, position), position + self._depth)
            self._depth -= end - position
        return end

    def _pass_string(self, data: bytes, position: int) -> int:
        """Behind the closing quote."""
        if self._is_escaped:
            position += 1
        quote = data.find(b'"', position)
        if quote < 0 or data[quote - 1] == _BACKSLASH:  # which may count, or be escaped itself
            quote = _end_of(_UNQUOTED, data, position)
        self._is_in_string = data[quote : quote + 1] != b'"'
        self._is_escaped = self._is_in_string and quote < len(data)
        return len(data) if self._is_in_string else quote + 1


def _end_of(pattern: re.Pattern[bytes], data: bytes, position: int) -> int:
    found = pattern.match(data, position)
    return found.end() if found else position
