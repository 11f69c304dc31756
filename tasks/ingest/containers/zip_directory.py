"""Reads the directory of a zip archive, one entry at a time."""

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.ingest.containers.byte_reader import ByteReader, Seekable, file_pieces, read_at
from tasks.ingest.reading.records import FileRefusedError, Reason

_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_EXTRA = struct.Struct("<2H")
_ENTRY_MAGIC = b"PK\x01\x02"
_END_MAGIC, _END_64_MAGIC, _LOCATOR_64_MAGIC = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_MAX_COMMENT_BYTES = 2**16
_PIECE_BYTES = 2**16
_ZIP64_EXTRA = 1
_ELSEWHERE = 0xFFFF_FFFF  # in that extra field
_UNIX = 3


@dataclass(frozen=True, slots=True)
class ZipDirectory:
    """Where the directory lies, and how many entries it should have."""

    start: int
    num_bytes: int
    num_entries: int


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """What the directory says of a member.

    Attributes:
        num_packed: how many bytes its content takes in the archive.
        num_bytes: how many bytes its content has.
        start: where its local header lies.
        file_type: the bits of a Unix mode that tell files from links and the like, or 0.
    """

    name: bytes
    flags: int
    method: int
    checksum: int
    num_packed: int
    num_bytes: int
    start: int
    file_type: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith(b"/") and not self.num_bytes


def find_directory(file: Seekable) -> ZipDirectory:
    """The directory, from the record at the end of the archive.

    Raises:
        FileRefusedError: there is none, or it is in another part of a split archive.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    tail_start = max(0, file_bytes - _END.size - _MAX_COMMENT_BYTES)
    tail = read_at(file, tail_start, file_bytes - tail_start)
    at = tail.rfind(_END_MAGIC)
    if at < 0 or len(tail) - at < _END.size:
        raise FileRefusedError(Reason.CORRUPT_ARCHIVE)
    _, disk, first_disk, _, num_entries, num_bytes, start, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    if (larger := _find_directory_64(file, end)) is not None:
        return larger
    if disk or first_disk:
        raise FileRefusedError(Reason.UNSUPPORTED)
    return _checked(ZipDirectory(start, num_bytes, num_entries), end)


def _find_directory_64(file: Seekable, end: int) -> ZipDirectory | None:
    locator = read_at(file, end - _LOCATOR_64.size, _LOCATOR_64.size)
    if len(locator) < _LOCATOR_64.size or not locator.startswith(_LOCATOR_64_MAGIC):
        return None
    _, _, at, _ = _LOCATOR_64.unpack(locator)
    record = read_at(file, at, _END_64.size) if at < end else b""
    if len(record) < _END_64.size or not record.startswith(_END_64_MAGIC):
        raise FileRefusedError(Reason.CORRUPT_ARCHIVE)
    _, _, _, _, disk, first_disk, _, num_entries, num_bytes, start = _END_64.unpack(record)
    if disk or first_disk:
        raise FileRefusedError(Reason.UNSUPPORTED)
    return _checked(ZipDirectory(start, num_bytes, num_entries), at)


def _checked(directory: ZipDirectory, end: int) -> ZipDirectory:
    if directory.start + directory.num_bytes > end:
        raise FileRefusedError(Reason.CORRUPT_ARCHIVE)
    return directory


def read_entries(file: Seekable, directory: ZipDirectory) -> Iterator[ZipEntry]:
    """The directory's entries, without ever holding all of it.

    Raises:
        FileRefusedError: it is damaged, or does not have as many as it should.
    """
    pieces = file_pieces(file, directory.start, directory.num_bytes, _PIECE_BYTES)
    stream = ByteReader(pieces)
    num_entries = 0
    while stream.position < directory.num_bytes:
        yield _read_entry(stream)
        num_entries += 1
    if (num_entries - directory.num_entries) % 2**16:  # old writers count no further
        raise FileRefusedError(Reason.CORRUPT_ARCHIVE)


def _read_entry(stream: ByteReader) -> ZipEntry:
    fixed = stream.read(_ENTRY.size)
    if len(fixed) < _ENTRY.size or not fixed.startswith(_ENTRY_MAGIC):
        raise FileRefusedError(Reason.CORRUPT_ARCHIVE)
    # fmt: off
    (_, made_by, _, flags, method, _, _, checksum, num_packed, num_bytes,
     name_bytes, extra_bytes, comment_bytes, _, _, attributes, start) = _ENTRY.unpack(fixed)
    # fmt: on
    rest_bytes = name_bytes + extra_bytes + comment_bytes
    rest = stream.read(rest_bytes)
    if len(rest) < rest_bytes:
        raise FileRefusedError(Reason.CORRUPT_ARCHIVE)
    numbers = [num_bytes, num_packed, start]
    if _ELSEWHERE in numbers:
        numbers = _larger_numbers(numbers, rest[name_bytes : name_bytes + extra_bytes])
    num_bytes, num_packed, start = numbers
    name, mode = rest[:name_bytes], attributes >> 16 if made_by >> 8 == _UNIX else 0
    return ZipEntry(name, flags, method, checksum, num_packed, num_bytes, start, stat.S_IFMT(mode))


def _larger_numbers(numbers: list[int], extra: bytes) -> list[int]:
    """Numbers of 32 bits with those that did not fit replaced by the ones in the extra field."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, num_bytes = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == _ZIP64_EXTRA:
            field = ByteReader([extra[at : at + num_bytes]])
            return [_larger(field) if number == _ELSEWHERE else number for number in numbers]
        at += num_bytes
    return numbers


def _larger(field: ByteReader) -> int:
    data = field.read(8)
    if len(data) < 8:
        raise FileRefusedError(Reason.CORRUPT_ARCHIVE)
    return int.from_bytes(data, "little")
