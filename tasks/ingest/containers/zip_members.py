"""Reads zip archives, one entry of their directory at a time."""

import bz2
import itertools
import lzma
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

from tasks.ingest.containers.archives import Member
from tasks.ingest.containers.byte_reader import Seekable, file_pieces, read_at
from tasks.ingest.containers.decoders import (
    Decoder,
    ZlibDecoder,
    new_lzma_decoder,
    new_zstd_decoder,
)
from tasks.ingest.containers.decompress import decompress_member
from tasks.ingest.containers.member_names import decode_name
from tasks.ingest.containers.zip_directory import (
    ZipDirectory,
    ZipEntry,
    find_directory,
    read_entries,
)
from tasks.ingest.reading.records import FileRefusedError, Reason

_LOCAL = struct.Struct("<4s5H3I2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_EMPTY = b"PK\x05\x06" + bytes(16)

_ENCRYPTED = 1 << 0 | 1 << 6 | 1 << 13
_HAS_END_MARK = 1 << 1  # of LZMA data
_IS_PATCH = 1 << 5

_STORED, _LZMA = 0, 14
_LZMA_HEADER_BYTES = 9
_DECODERS: dict[int, Callable[[], Decoder]] = {
    8: lambda: ZlibDecoder(-15),
    12: bz2.BZ2Decompressor,
    _LZMA: lambda: new_lzma_decoder(lzma.FORMAT_ALONE),
    93: new_zstd_decoder,
}

_FIRST_IN_DOCUMENTS = re.compile(rb"mimetype\Z|\[Content_Types\]\.xml\Z|META-INF/")
_ONLY_IN_DOCUMENTS = (
    b"[Content_Types].xml",
    b"META-INF/MANIFEST.MF",
    b"META-INF/container.xml",
    b"META-INF/manifest.xml",
)
_MOST_ENTRIES_OF_DOCUMENTS = 10_000


def is_zip(head: bytes) -> bool:
    """Whether content that begins so is a zip archive."""
    return head.startswith((_LOCAL_MAGIC, _EMPTY))


def begins_as_document(head: bytes) -> bool:
    """Whether the first member is one that a document format (EPUB, OpenDocument) begins with."""
    if not head.startswith(_LOCAL_MAGIC) or len(head) < _LOCAL.size:
        return False
    name_bytes = _LOCAL.unpack_from(head)[9]
    return _FIRST_IN_DOCUMENTS.match(head[_LOCAL.size :][:name_bytes]) is not None


def is_document(file: Seekable) -> bool:
    """Whether an archive is a file of some program (docx, xlsx, odt, epub, jar)."""
    with suppress(FileRefusedError):  # reading the members will tell
        entries = read_entries(file, find_directory(file))
        for number, entry in enumerate(itertools.islice(entries, _MOST_ENTRIES_OF_DOCUMENTS)):
            is_first = number == 0 and _FIRST_IN_DOCUMENTS.match(entry.name)
            if is_first or entry.name in _ONLY_IN_DOCUMENTS:
                return True
    return False


def read_zip(file: Seekable) -> Iterator[Member]:
    """The members in the order of the directory. Damage to one does not concern the others.

    Pieces of a member that is damaged end with FileRefusedError (CORRUPT_ARCHIVE). Links, what is
    encrypted, and what is compressed in ways unknown to us have their reasons.

    Raises:
        FileRefusedError: the directory is missing or damaged, or members share their bytes.
    """
    directory = find_directory(file)
    num_left = directory.start
    for entry in read_entries(file, directory):
        if _is_inside(entry, directory):
            num_left -= _LOCAL.size + len(entry.name) + entry.num_packed
        if num_left < 0:  # bombs have many members unpack the same bytes
            raise FileRefusedError(Reason.COMPRESSION_BOMB)
        name = decode_name(entry.name, fallback="cp437")
        yield Member(name, _data(file, entry, directory), _reason(entry), entry.is_folder)


def _is_inside(entry: ZipEntry, directory: ZipDirectory) -> bool:
    return entry.start + entry.num_packed <= directory.start


def _reason(entry: ZipEntry) -> Reason | None:
    if entry.file_type not in (0, stat.S_IFREG, stat.S_IFDIR):
        return Reason.ARCHIVE_LINK
    if entry.flags & _ENCRYPTED:
        return Reason.ENCRYPTED
    is_known = entry.method == _STORED or entry.method in _DECODERS
    return None if is_known and not entry.flags & _IS_PATCH else Reason.UNSUPPORTED


def _data(file: Seekable, entry: ZipEntry, directory: ZipDirectory) -> Iterator[bytes]:
    """The content of a member, checked against what the directory says of it."""
    num_bytes = checksum = 0
    try:
        for piece in _unpacked(file, entry, _data_start(file, entry, directory)):
            if num_bytes + len(piece) > entry.num_bytes:
                break
            num_bytes += len(piece)
            checksum = zlib.crc32(piece, checksum)
            yield piece
        else:
            if (num_bytes, checksum) == (entry.num_bytes, entry.checksum):
                return
    except FileRefusedError as refused:
        if refused.refusal.reason is Reason.COMPRESSION_BOMB:
            raise
    raise FileRefusedError(Reason.CORRUPT_ARCHIVE, num_bytes)


def _data_start(file: Seekable, entry: ZipEntry, directory: ZipDirectory) -> int:
    """Where the content begins, behind a local header that has to name the same member."""
    num_bytes = _LOCAL.size + len(entry.name)
    header = read_at(file, entry.start, num_bytes) if _is_inside(entry, directory) else b""
    if len(header) == num_bytes and header.startswith(_LOCAL_MAGIC):
        *_, name_bytes, extra_bytes = _LOCAL.unpack_from(header)
        if name_bytes == len(entry.name) and header.endswith(entry.name):
            start: int = entry.start + num_bytes + extra_bytes
            return start
    raise FileRefusedError(Reason.CORRUPT_ARCHIVE)


def _unpacked(file: Seekable, entry: ZipEntry, start: int) -> Iterator[bytes]:
    chunks = file_pieces(file, start, entry.num_packed)
    if entry.method == _STORED:
        return chunks
    if entry.method == _LZMA:
        chunks = _with_usual_lzma_header(file, entry, start)
    return decompress_member(_DECODERS[entry.method](), chunks)


def _with_usual_lzma_header(file: Seekable, entry: ZipEntry, start: int) -> Iterator[bytes]:
    """Zip has its own header before LZMA data; behind it, all is as in a .lzma file."""
    header = read_at(file, start, _LZMA_HEADER_BYTES)
    if header[2:4] != b"\x05\x00" or entry.num_packed < _LZMA_HEADER_BYTES:
        raise FileRefusedError(Reason.CORRUPT_ARCHIVE)
    num_bytes = 2**64 - 1 if entry.flags & _HAS_END_MARK else entry.num_bytes
    yield header[4:] + num_bytes.to_bytes(8, "little")
    rest_bytes = entry.num_packed - _LZMA_HEADER_BYTES
    yield from file_pieces(file, start + _LZMA_HEADER_BYTES, rest_bytes)
