"""Opens a source file as the contents in it, whatever it is compressed with or packed into."""

import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tasks.ingest.containers.archives import Member
from tasks.ingest.containers.byte_reader import ByteReader, Seekable, file_pieces
from tasks.ingest.containers.decompress import (
    MAX_RATIO,
    UNCHECKED_BYTES,
    decompress,
    is_compressed,
)
from tasks.ingest.containers.member_names import (
    UniqueNames,
    is_hidden,
    is_unsafe,
    simplify,
    spell,
)
from tasks.ingest.containers.tar_members import is_tar, read_tar
from tasks.ingest.containers.zip_members import begins_as_document, is_document, is_zip, read_zip
from tasks.ingest.reading.records import FileRefusedError, Reason, Refusal
from tasks.ingest.reading.streams import HEAD_BYTES, ignore_progress

_MAX_ARCHIVES = 2  # one in another


@dataclass(frozen=True, slots=True)
class Content:
    """What would be a file by itself, were it not compressed or in an archive.

    Attributes:
        name: the source's, or for a member ``a.zip/folder/b.txt``; unique in its source.
        head: the first 64 KiB, or as much as could be read.
        is_all: whether `head` is everything.
        pieces: everything, beginning with `head`, to be read once and before the next content is
            asked for. Raises FileRefusedError or OSError where it breaks.
        file: the source file itself, seekable and at its beginning, where that is this very
            content; moving in it does not disturb `pieces`.
    """

    name: str
    head: bytes
    is_all: bool
    pieces: Iterator[bytes]
    file: BinaryIO | None = None


Found = Iterator[Content | tuple[str, Refusal]]


def open_contents(
    name: str, file: BinaryIO, scratch: Path, on_bytes: Callable[[int], None] = ignore_progress
) -> Found:
    """The contents of a file, one after another; what is not read of one is skipped.

    A file that is no archive is one content. Of an archive, folders and hidden files are passed
    over, and so nothing at all may come of it; members that are no files, and the archive itself
    where it breaks, come as a name with a refusal. Nothing is unpacked on disk but archives that
    have to be sought in, to nameless files.

    Args:
        name: the source's name.
        file: at any position; it must be seekable.
        scratch: a folder for temporary files.
        on_bytes: told how many bytes of `file` were read, at most as many as it has.

    Raises:
        OSError: the file cannot be read, or there is no space in `scratch`.
    """
    num_bytes = file.seek(0, os.SEEK_END)
    source = _Watched(file, num_bytes, on_bytes)
    yield from _Opening(scratch, num_bytes).open(name, file_pieces(source), 0, source)


class _Watched:
    """A source file whose readings are told, each byte once."""

    def __init__(self, file: BinaryIO, num_bytes: int, on_bytes: Callable[[int], None]) -> None:
        self.file = file
        self._num_left = num_bytes
        self._on_bytes = on_bytes

    def read(self, num_bytes: int, /) -> bytes:
        data = self.file.read(num_bytes)
        if num_new := min(len(data), self._num_left):
            self._num_left -= num_new
            self._on_bytes(num_new)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self.file.seek(offset, whence)


class _Allowance:
    """How much a source file may unpack to, with all that is nested in it taken together."""

    def __init__(self, num_bytes: int) -> None:
        self._num_left = max(UNCHECKED_BYTES, MAX_RATIO * num_bytes)

    @property
    def is_spent(self) -> bool:
        return self._num_left < 0

    def metered(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces, as far as they are allowed; offsets of errors are made to count them."""
        num_bytes = 0
        try:
            for piece in pieces:
                self._num_left -= len(piece)
                if self.is_spent:
                    raise FileRefusedError(Reason.COMPRESSION_BOMB)
                num_bytes += len(piece)
                yield piece
        except FileRefusedError as refused:
            raise FileRefusedError(refused.refusal.reason, num_bytes) from None


class _Head(NamedTuple):
    data: bytes
    is_all: bool
    pieces: Iterator[bytes]


def _read_head(pieces: Iterator[bytes]) -> _Head:
    """The beginning of a stream; where it breaks there, its pieces still do."""
    parts: list[bytes] = []
    num_bytes = 0
    failure: Iterable[bytes] = ()
    try:
        for piece in pieces:
            parts.append(piece)
            num_bytes += len(piece)
            if num_bytes > HEAD_BYTES:
                return _Head(b"".join(parts)[:HEAD_BYTES], False, itertools.chain(parts, pieces))
    except (FileRefusedError, OSError) as error:
        failure = _failing(error)
    return _Head(b"".join(parts), not failure, itertools.chain(parts, failure))


def _failing(error: Exception) -> Iterator[bytes]:
    yield from ()
    raise error


class _Opening:
    """One source file being opened, down to the archives in its archives."""

    def __init__(self, scratch: Path, num_bytes: int) -> None:
        self._scratch = scratch
        self._allowance = _Allowance(num_bytes)
        self._names = UniqueNames()

    def open(
        self, name: str, pieces: Iterator[bytes], depth: int, source: _Watched | None = None
    ) -> Found:
        """The contents of one stream.

        Args:
            depth: how many archives are around it.
            source: the source file, where it is this stream.
        """
        head = _read_head(pieces)
        if is_compressed(head.data):
            source = None
            head = _read_head(self._allowance.metered(decompress(head.pieces)))
        if is_compressed(head.data):
            yield name, Refusal(None, Reason.NESTED_TOO_DEEP)
        elif is_zip(head.data) or is_tar(head.data):
            yield from self._open_archive(name, head, depth, source)
        elif source is None:
            yield Content(name, *head)
        else:
            source.seek(0)
            yield Content(name, *head, source.file)

    def _open_archive(self, name: str, head: _Head, depth: int, source: _Watched | None) -> Found:
        if begins_as_document(head.data):
            yield name, Refusal(None, Reason.UNSUPPORTED)
        elif depth == _MAX_ARCHIVES:
            yield name, Refusal(None, Reason.NESTED_TOO_DEEP)
        else:
            try:
                yield from self._open_readable(name, head, depth, source)
            except FileRefusedError as refused:
                yield name, refused.refusal

    def _open_readable(self, name: str, head: _Head, depth: int, source: _Watched | None) -> Found:
        if not is_zip(head.data):
            yield from self._open_members(name, read_tar(ByteReader(head.pieces)), depth)
        elif source is not None:
            yield from self._open_zip(name, source, depth)
        else:
            with tempfile.TemporaryFile(dir=self._scratch) as unpacked:
                for piece in head.pieces:
                    unpacked.write(piece)
                yield from self._open_zip(name, unpacked, depth)

    def _open_zip(self, name: str, file: Seekable, depth: int) -> Found:
        if is_document(file):
            yield name, Refusal(None, Reason.UNSUPPORTED)
            return
        metered = self._allowance.metered
        members = (one._replace(pieces=metered(one.pieces)) for one in read_zip(file))
        yield from self._open_members(name, members, depth)

    def _open_members(self, name: str, members: Iterator[Member], depth: int) -> Found:
        for member in members:
            is_safe = not is_unsafe(member.name)
            if member.is_folder or (is_safe and is_hidden(member.name)):
                continue
            if self._names.is_full:
                raise FileRefusedError(Reason.TOO_LONG)
            shown = spell(simplify(member.name) if is_safe else member.name)
            full_name = self._names.claim(f"{name}/{shown}")
            reason = member.reason if is_safe else Reason.UNSAFE_PATH
            if reason is not None:
                yield full_name, Refusal(None, reason)
            else:
                yield from self.open(full_name, member.pieces, depth + 1)
            if self._allowance.is_spent:
                raise FileRefusedError(Reason.COMPRESSION_BOMB)
