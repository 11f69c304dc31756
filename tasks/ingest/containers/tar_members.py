"""Reads tar archives as streams, in memory that no header can stretch."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.ingest.containers.archives import Member
from tasks.ingest.containers.byte_reader import ByteReader
from tasks.ingest.containers.member_names import decode_name
from tasks.ingest.reading.records import FileRefusedError, Reason

_BLOCK_BYTES = 512
_MAX_HEADER_BYTES = 2**20
_PIECE_BYTES = 2**20
_MAGICS = (b"ustar\x0000", b"ustar  \x00")  # POSIX, GNU
_OCTAL = re.compile(rb" *([0-7]*) *")
_RECORD = re.compile(rb"([0-9]{1,8}) ")
_SIZE = re.compile(rb"[0-9]{1,20}")

# Kinds of entries. Those that only say more about the next one:
_LONG_NAME, _LONG_LINK, _PAX, _SOLARIS_PAX, _GLOBAL_PAX = b"L", b"K", b"x", b"X", b"g"
_SPECIAL = (_LONG_NAME, _LONG_LINK, _PAX, _SOLARIS_PAX, _GLOBAL_PAX)
_FILES = (b"0", b"\0", b"7")
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_LINKS = (b"1", b"2", b"3", b"4", b"6")  # hard, symbolic, devices, pipe
_FOLDERS = (b"5", b"D", b"V")  # folders, lists of what is in them, labels of volumes
_SPARSE = b"S"

_PATH, _SIZE_KEY, _SPARSE_KEYS, _SPARSE_PATH = b"path", b"size", b"GNU.sparse.", b"GNU.sparse.name"


def is_tar(head: bytes) -> bool:
    """Whether content that begins so is a tar archive, of the kind before POSIX too."""
    if head[257:265] in _MAGICS:
        return True
    return len(head) >= _BLOCK_BYTES and _is_header(head[:_BLOCK_BYTES])


def read_tar(stream: ByteReader) -> Iterator[Member]:
    """The members in order. What is not read of one is skipped.

    Archives that follow one another are read as one. Links and devices, sparse files and kinds
    that nobody defined have their reasons.

    Raises:
        FileRefusedError: a header makes no sense, or the end is missing. What `stream` raises.
    """
    while (header := _next_header(stream)) is not None:
        end = stream.position + header.num_bytes
        data = _data(stream, stream.position, end)
        yield Member(decode_name(header.name), data, header.reason, header.is_folder)
        if not stream.skip_to(end + -end % _BLOCK_BYTES):
            raise _corrupt(stream)


@dataclass(slots=True)
class _Header:
    """One header, and what the special ones before it said.

    Attributes:
        num_bytes: how much data follows.
    """

    kind: bytes
    name: bytes
    num_bytes: int
    is_sparse: bool = False

    @property
    def is_folder(self) -> bool:
        is_old = self.kind in _FILES and self.name.endswith(b"/") and not self.num_bytes
        return self.kind in _FOLDERS or is_old

    @property
    def reason(self) -> Reason | None:
        if self.kind in _LINKS:
            return Reason.ARCHIVE_LINK
        return None if self.kind in _FILES and not self.is_sparse else Reason.UNSUPPORTED


def _data(stream: ByteReader, start: int, end: int) -> Iterator[bytes]:
    at = start
    while at < end:
        if stream.position != at:
            raise RuntimeError("a member is to be read before the next one is asked for")
        try:
            piece = stream.take(min(end - at, _PIECE_BYTES))
        except FileRefusedError as refused:
            raise FileRefusedError(refused.refusal.reason, at - start) from None
        if not piece:
            raise FileRefusedError(Reason.CORRUPT_ARCHIVE, at - start)
        at += len(piece)
        yield piece


def _next_header(stream: ByteReader) -> _Header | None:
    """The header of the next member; None at the end."""
    long_name, pax = b"", dict[bytes, bytes]()
    while (block := _next_block(stream)) is not None:
        header = _parse(block, stream)
        if header.kind not in _SPECIAL:
            _skip_sparse_map(header, block, stream)
            return _amended(header, long_name, pax)
        data = _read_special(header, stream)
        if header.kind == _LONG_NAME:
            long_name = data.partition(b"\0")[0]
        elif header.kind in (_PAX, _SOLARIS_PAX):
            pax = _parse_pax(data, stream)
        elif header.kind == _GLOBAL_PAX and _parse_pax(data, stream):
            raise FileRefusedError(Reason.UNSUPPORTED, stream.position)
    if long_name or pax:
        raise _corrupt(stream)
    return None


def _amended(header: _Header, long_name: bytes, pax: dict[bytes, bytes]) -> _Header:
    name = pax.get(_SPARSE_PATH) or pax.get(_PATH) or long_name
    if name:
        header.name = name
    if _SIZE_KEY in pax and header.kind not in _WITHOUT_DATA:
        header.num_bytes = int(pax[_SIZE_KEY])
    header.is_sparse = any(key.startswith(_SPARSE_KEYS) for key in pax)
    return header


def _next_block(stream: ByteReader) -> bytes | None:
    """The next block that is not zeros; None at the end, which a block of zeros has to mark."""
    is_marked = False
    while block := stream.read(_BLOCK_BYTES):
        if block.strip(b"\0"):
            if len(block) < _BLOCK_BYTES:
                raise _corrupt(stream)
            return block
        is_marked = True
    if not is_marked:
        raise _corrupt(stream)
    return None


def _parse(block: bytes, stream: ByteReader) -> _Header:
    if not _is_header(block):
        raise _corrupt(stream)
    kind, name = block[156:157], block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0]
    if prefix and block[257:263] == b"ustar\0":  # GNU keeps other things there
        name = prefix + b"/" + name
    num_bytes = 0 if kind in _WITHOUT_DATA else _number(block[124:136])
    assert num_bytes is not None
    return _Header(kind, name, num_bytes)


def _is_header(block: bytes) -> bool:
    """Whether the checksum fits (some old writers took bytes for signed) and the size is one."""
    claimed = _number(block[148:156])
    if not claimed or _number(block[124:136]) is None:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    return claimed in (sum(rest), sum(memoryview(rest).cast("b")))


def _number(field: bytes) -> int | None:
    """A number in octal digits, or big-endian after a byte 128; None where it is neither."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    octal = _OCTAL.fullmatch(field.partition(b"\0")[0])
    return int(octal[1] or b"0", 8) if octal else None


def _read_special(header: _Header, stream: ByteReader) -> bytes:
    if header.num_bytes > _MAX_HEADER_BYTES:
        raise _corrupt(stream)
    data = stream.read(header.num_bytes)
    end = stream.position + -header.num_bytes % _BLOCK_BYTES
    if len(data) < header.num_bytes or not stream.skip_to(end):
        raise _corrupt(stream)
    return data


def _parse_pax(data: bytes, stream: ByteReader) -> dict[bytes, bytes]:
    """The records (``30 path=...`` and a newline, 30 bytes in all) that change what is read."""
    found = {}
    at = 0
    while at < len(data):
        length = _RECORD.match(data, at)
        end = at + int(length[1]) if length else at
        if not length or not length.end() < end <= len(data) or data[end - 1] != ord("\n"):
            raise _corrupt(stream)
        key, _, value = data[length.end() : end - 1].partition(b"=")
        if key == _SIZE_KEY and not _SIZE.fullmatch(value):
            raise _corrupt(stream)
        if key in (_PATH, _SIZE_KEY, _SPARSE_PATH) or key.startswith(_SPARSE_KEYS):
            found[key] = value
        at = end
    return found


def _skip_sparse_map(header: _Header, block: bytes, stream: ByteReader) -> None:
    is_longer = header.kind == _SPARSE and block[482] != 0
    while is_longer:
        block = stream.read(_BLOCK_BYTES)
        if len(block) < _BLOCK_BYTES:
            raise _corrupt(stream)
        is_longer = block[504] != 0


def _corrupt(stream: ByteReader) -> FileRefusedError:
    return FileRefusedError(Reason.CORRUPT_ARCHIVE, stream.position)
