"""Builds archives for tests, orderly and hostile ones, and reads contents in one go."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from backports import zstd

from tasks.ingest.containers.contents import Content, open_contents
from tasks.ingest.reading.records import FileRefusedError, Reason, Refusal

Member = tuple[str, bytes]

_LIKE_THE_TOOL = {int(zstd.CompressionParameter.checksum_flag): 1}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstd.compress(data, options=_LIKE_THE_TOOL),
}


def tar_of(*members: Member, format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of files."""
    return tar_of_infos(*[(tarfile.TarInfo(name), data) for name, data in members], format=format)


def tar_of_infos(
    *members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT
) -> bytes:
    """A tar archive of anything; a member's size is that of its data."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def info_of(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A header of any kind."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def raw_header(name: bytes, kind: bytes = b"0", size: bytes = b"00000000000\0") -> bytes:
    """A tar header of which every field may be nonsense, with a checksum that fits."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    return with_checksum(block)


def with_checksum(block: bytearray) -> bytes:
    """A tar header with the checksum it ought to have."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def special(kind: bytes, data: bytes) -> bytes:
    """A header that says more about the next one."""
    return raw_header(b"special", kind, b"%011o\0" % len(data)) + data + bytes(-len(data) % 512)


def pax_record(key: bytes, value: bytes) -> bytes:
    """One record of a pax header."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


TAR_END = bytes(1024)
GOOD = raw_header(b"good", size=b"00000000004\0") + b"text" + bytes(508)  # in a tar
HUGE = [
    b"77777777777\0",
    b"\x80" + b"\xff" * 11,
    b"\x80\0\0\0\0\0\0\0\xff\0\0\0",
]  # sizes in tar headers


def zip_of(*members: Member, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def raw_zip(
    members: Sequence[tuple[bytes, bytes]],
    *,
    method: int = 0,
    flags: int = 0,
    num_bytes: int | None = None,
    crc: int | None = None,
    made_by: int = 20,
    attributes: int = 0,
    times: int = 1,
) -> bytes:
    """A zip whose names are any bytes, with each member listed `times` times.

    Args:
        members: names and packed contents.
        num_bytes: the size that all members claim to have.
        crc: the checksum that all members claim to have.
    """
    out, entries = bytearray(), bytearray()
    for name, packed in members:
        size = len(packed) if num_bytes is None else num_bytes
        checksum = zlib.crc32(packed) if crc is None else crc
        numbers = (20, flags, method, 0, 0, checksum, len(packed), size)
        places = (len(name), 0, 0, 0, 0, attributes, len(out))
        entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", made_by, *numbers, *places) + name
        entries += entry * times
        out += struct.pack("<4s5H3I2H", b"PK\3\4", *numbers, len(name), 0) + name + packed
    num_entries = len(members) * times % 2**16
    end = struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, num_entries, num_entries, len(entries), len(out), 0
    )
    return bytes(out + entries + end)


def read_all(name: str, data: bytes, scratch: Path) -> list[tuple[str, bytes | Reason]]:
    """Every content in order: its bytes, or the reason why there are none."""
    return [read_one(found) for found in open_contents(name, io.BytesIO(data), scratch)]


def read_one(found: Content | tuple[str, Refusal]) -> tuple[str, bytes | Reason]:
    """One content as its bytes or its reason."""
    if isinstance(found, tuple):
        name, refusal = found
        return name, refusal.reason
    try:
        data = b"".join(found.pieces)
    except FileRefusedError as refused:
        assert not found.is_all
        return found.name, refused.refusal.reason
    assert data.startswith(found.head)
    assert found.is_all == (data == found.head)
    return found.name, data


def members_of(
    found: Iterable[tuple[str, bytes | Reason]], archive: str
) -> list[tuple[str, bytes | Reason]]:
    """Contents named within their archive."""
    return [(name.removeprefix(archive + "/"), data) for name, data in found]
