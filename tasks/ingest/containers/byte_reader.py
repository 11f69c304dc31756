"""Reads exact numbers of bytes from files and from streams of pieces."""

import os
from collections.abc import Iterable, Iterator
from typing import Protocol

from tasks.ingest.reading.records import FileRefusedError

_PIECE_BYTES = 2**20


class Seekable(Protocol):
    """As much of a binary file as readers need."""

    def read(self, num_bytes: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int: ...


def file_pieces(
    file: Seekable, start: int = 0, num_bytes: int | None = None, piece_bytes: int = _PIECE_BYTES
) -> Iterator[bytes]:
    """A range of a file, by default all of it; less where the file ends before.

    Others may move the file's position between pieces.

    Raises:
        OSError: it cannot be read.
    """
    at, end = start, None if num_bytes is None else start + num_bytes
    while end is None or at < end:
        file.seek(at)
        piece = file.read(piece_bytes if end is None else min(piece_bytes, end - at))
        if not piece:
            return
        at += len(piece)
        yield piece


def read_at(file: Seekable, start: int, num_bytes: int) -> bytes:
    """So many bytes; fewer at the end of the file, none before its beginning."""
    if start < 0:
        return b""
    file.seek(start)
    data = file.read(num_bytes)
    while len(data) < num_bytes and (more := file.read(num_bytes - len(data))):
        data += more
    return data


class ByteReader:
    """A stream of pieces, read in portions.

    What the pieces raise is raised again at every further reading: a broken stream has no end.

    Attributes:
        position: how many bytes were read.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.position = 0
        self._pieces = iter(pieces)
        self._piece = b""
        self._at = 0
        self._failure: FileRefusedError | OSError | None = None

    def take(self, max_bytes: int) -> bytes:
        """At most so many bytes, as they come; none at the end."""
        while self._at == len(self._piece):
            if not self._fill():
                return b""
        part = self._piece[self._at : self._at + max_bytes]
        self._at += len(part)
        self.position += len(part)
        return part

    def read(self, num_bytes: int) -> bytes:
        """Exactly so many bytes; fewer only at the end."""
        part = self.take(num_bytes)
        if len(part) == num_bytes:
            return part
        parts = [part]
        num_left = num_bytes - len(part)
        while num_left and (part := self.take(num_left)):
            parts.append(part)
            num_left -= len(part)
        return b"".join(parts)

    def skip_to(self, position: int) -> bool:
        """Go on to a later position; whether the stream is that long."""
        while self.position < position:
            step = min(position - self.position, len(self._piece) - self._at)
            self._at += step
            self.position += step
            if not step and not self._fill():
                return False
        return True

    def _fill(self) -> bool:
        if self._failure:
            raise self._failure
        try:
            piece = next(self._pieces, None)
        except (FileRefusedError, OSError) as failure:
            self._failure = failure
            raise
        self._piece, self._at = piece or b"", 0
        return piece is not None
