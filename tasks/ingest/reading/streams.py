"""Streams of bytes as lines of bounded length."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tasks.ingest.reading.records import PREVIEW_BYTES

UTF8_BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 2**16


class Line(NamedTuple):
    """One line without its newline; of a line longer than allowed, just the beginning.

    `offset` counts bytes of the decompressed file.
    """

    offset: int
    data: bytes
    is_whole: bool


def ignore_progress(num_bytes: int) -> None:
    """For readers whose progress nobody watches."""


def read_lines(pieces: Iterable[bytes], max_bytes: int) -> Iterator[Line]:
    """Lines of any stream in memory of about `max_bytes`, however long a line is."""
    line = _GrowingLine(max_bytes)
    for piece in pieces:
        *endings, rest = piece.split(b"\n")
        for ending in endings:
            line.extend(ending)
            yield line.take(newline_bytes=1)
        line.extend(rest)
    if line.num_bytes:
        yield line.take(newline_bytes=0)


def without_bom(line: Line) -> bytes:
    """The data of a line, less the mark that some editors put at the start of a file."""
    return line.data.removeprefix(UTF8_BOM) if line.offset == 0 else line.data


class _GrowingLine:
    def __init__(self, max_bytes: int) -> None:
        self.num_bytes = 0
        self._offset = 0
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []

    def extend(self, part: bytes) -> None:
        was_whole = self.num_bytes <= self._max_bytes
        self.num_bytes += len(part)
        if self.num_bytes <= self._max_bytes:
            self._parts.append(part)
        elif was_whole or len(self._parts[0]) < PREVIEW_BYTES:
            self._parts = [b"".join([*self._parts, part])[:PREVIEW_BYTES]]

    def take(self, newline_bytes: int) -> Line:
        data = b"".join(self._parts) if len(self._parts) != 1 else self._parts[0]
        line = Line(self._offset, data, self.num_bytes <= self._max_bytes)
        self._offset += self.num_bytes + newline_bytes
        self.num_bytes, self._parts = 0, []
        return line
