"""Bytes of a file, decompressed where need be, as pieces and as lines of bounded length."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tasks.ingest.reading.gunzip import GZIP_MAGIC, PIECE_BYTES, gunzip
from tasks.ingest.reading.records import PREVIEW_BYTES, FileRefusedError

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


def open_pieces(path: Path, on_bytes: Callable[[int], None] = ignore_progress) -> Iterator[bytes]:
    """The content of a plain or gzipped file in pieces of at most 1 MiB.

    Args:
        on_bytes: told how many bytes were read from disk, piece by piece.

    Raises:
        OSError: the file cannot be opened or read.
        FileRefusedError: see `gunzip`.
    """
    chunks = _read_chunks(path, on_bytes)
    first = next(chunks, b"")
    whole = itertools.chain([first] if first else [], chunks)
    return gunzip(whole) if first.startswith(GZIP_MAGIC) else whole


def read_head(path: Path) -> tuple[bytes, bool]:
    """The first 64 KiB or so of the content, and whether that is all there is.

    A file that breaks further on still has a head; reading it whole will tell.

    Raises:
        OSError: the file cannot be opened or read.
    """
    head = b""
    try:
        for piece in open_pieces(path):
            head += piece
            if len(head) > HEAD_BYTES:
                return head[:HEAD_BYTES], False
    except FileRefusedError:
        return head, False
    return head, True


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


def _read_chunks(path: Path, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(PIECE_BYTES):
            on_bytes(len(chunk))
            yield chunk
