"""Decompresses gzip, bzip2, xz and zstd as a stream of bounded pieces."""

import bz2
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tasks.ingest.containers.decoders import (
    DECODER_ERRORS,
    Decoder,
    ZlibDecoder,
    new_lzma_decoder,
    new_zstd_decoder,
)
from tasks.ingest.reading.records import FileRefusedError, Reason

PIECE_BYTES = 2**20
MAX_RATIO = 250  # text rarely passes 20
UNCHECKED_BYTES = 2**23  # so little does no harm at any ratio

_MAX_BYTES = 2**36
_MAX_MAGIC_BYTES = 10
_TELLING_BYTES = 5  # fewer may as well be the beginning of a word
_GATHERED_BYTES = 2**16
_FIRST_SLICE_BYTES = 2**12
_ZEROS = re.compile(rb"\0*")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A way to compress.

    Attributes:
        magics: what a member begins with, as far as its format lays that down.
        has_padding: whether zeros may follow a member.
    """

    magics: tuple[bytes, ...]
    new_decoder: Callable[[], Decoder]
    has_padding: bool = False

    def may_begin(self, head: bytes) -> bool:
        """Whether these are the first bytes of a member, perhaps cut off."""
        if head.startswith(self.magics):
            return True
        return len(head) < _MAX_MAGIC_BYTES and any(one.startswith(head) for one in self.magics)


_GZIP_MAGIC = b"\x1f\x8b\x08"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE_MAGICS = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
_KINDS = (
    _Kind(
        tuple(_GZIP_MAGIC + bytes([flags]) for flags in range(32)), lambda: ZlibDecoder(31), True
    ),
    _Kind(
        tuple(
            b"BZh%d" % level + block
            for level in range(1, 10)
            for block in (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
        ),
        bz2.BZ2Decompressor,
    ),
    _Kind((b"\xfd7zXZ\x00",), new_lzma_decoder, True),
    _Kind((_ZSTD_MAGIC, *_ZSTD_SKIPPABLE_MAGICS), new_zstd_decoder),
)
_MAGICS = tuple(magic for kind in _KINDS for magic in kind.magics)


def is_compressed(head: bytes) -> bool:
    """Whether content that begins so is compressed; all of a format's fixed bytes are looked at."""
    if len(head) >= _MAX_MAGIC_BYTES and not head.startswith(_MAGICS):
        return False
    if head.startswith(_ZSTD_SKIPPABLE_MAGICS):  # other formats have such frames too
        return _after_skippable_frames(head).startswith(_ZSTD_MAGIC)
    kind = _find_kind(head)
    return kind is not None and (head.startswith(kind.magics) or len(head) >= _TELLING_BYTES)


def decompress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of at most 1 MiB of compressed content, its kind found from the first bytes.

    Several members (streams, frames) in a row are read as one, as the tools do, and so are zeros
    after those of gzip and xz.

    Raises:
        FileRefusedError: truncated, corrupt, followed by something else, or growing without
            measure (over 250 times its size, past 64 GiB, or in need of over 128 MiB of memory).
            Pieces before it are good; its offset counts their bytes.
    """
    return _gathered(_decode_members(_Input(chunks), _Growth()))


def decompress_member(decoder: Decoder, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The one member that `chunks` begin with; what follows it is not looked at.

    Raises:
        FileRefusedError: as in `decompress`.
    """
    return _gathered(_decode(decoder, _Input(chunks), _Growth()))


def _find_kind(head: bytes) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.may_begin(head)), None)


def _after_skippable_frames(head: bytes) -> bytes:
    at = 0
    while head.startswith(_ZSTD_SKIPPABLE_MAGICS, at):
        at += 8 + int.from_bytes(head[at + 4 : at + 8], "little")
    return head[at:]


class _Input:
    """Compressed bytes, taken in slices of any length after a look ahead."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.num_taken = 0
        self._chunks = iter(chunks)
        self._chunk = b""
        self._at = 0

    def peek(self, num_bytes: int = _MAX_MAGIC_BYTES) -> bytes:
        """The next bytes; fewer than asked for only at the end."""
        while len(self._chunk) - self._at < num_bytes:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._chunk, self._at = self._chunk[self._at :] + chunk, 0
        return self._chunk[self._at : self._at + num_bytes]

    def take(self, max_bytes: int) -> bytes:
        """At most so many of the next bytes; none at the end."""
        self.peek(1)
        data = self._chunk[self._at : self._at + max_bytes]
        self._at += len(data)
        self.num_taken += len(data)
        return data

    def put_back(self, num_bytes: int) -> None:
        """Undo the taking of the last bytes of the last slice."""
        self._at -= num_bytes
        self.num_taken -= num_bytes

    def skip_zeros(self) -> None:
        while self.peek(1) == b"\0":
            zeros = _ZEROS.match(self._chunk, self._at)
            assert zeros is not None
            self._at = zeros.end()


class _Growth:
    """Stops what grows without measure."""

    def __init__(self) -> None:
        self.num_bytes = 0

    def add(self, piece: bytes, num_taken: int) -> None:
        num_bytes = self.num_bytes + len(piece)
        if num_bytes > UNCHECKED_BYTES and num_bytes > min(_MAX_BYTES, MAX_RATIO * num_taken):
            raise FileRefusedError(Reason.COMPRESSION_BOMB, self.num_bytes)
        self.num_bytes = num_bytes


def _decode_members(data: _Input, growth: _Growth) -> Iterator[bytes]:
    head = data.peek()
    kind = _find_kind(head)
    if kind is None:
        raise FileRefusedError(Reason.CORRUPT_COMPRESSION, 0)
    while head.startswith(kind.magics):
        yield from _decode(kind.new_decoder(), data, growth)
        if kind.has_padding:
            data.skip_zeros()
        head = data.peek()
        if not head:
            return
    is_cut = kind.may_begin(head)
    reason = Reason.TRUNCATED_COMPRESSION if is_cut else Reason.DATA_AFTER_COMPRESSION
    raise FileRefusedError(reason, growth.num_bytes)


def _decode(decoder: Decoder, data: _Input, growth: _Growth) -> Iterator[bytes]:
    """One member. Slices begin small: what a decoder leaves of them is copied each time."""
    slice_bytes = _FIRST_SLICE_BYTES
    while not decoder.eof:
        part = b""
        if decoder.needs_input:
            part = data.take(slice_bytes)
            slice_bytes = min(2 * slice_bytes, PIECE_BYTES)
            if not part:
                raise FileRefusedError(Reason.TRUNCATED_COMPRESSION, growth.num_bytes)
        piece = _decode_part(decoder, part, growth)
        growth.add(piece, data.num_taken)
        yield piece
    data.put_back(len(decoder.unused_data))


def _decode_part(decoder: Decoder, part: bytes, growth: _Growth) -> bytes:
    try:
        return decoder.decompress(part, PIECE_BYTES)
    except DECODER_ERRORS as error:
        # All that the libraries tell about a limit on memory is in their words.
        is_greedy = isinstance(error, MemoryError) or "memory" in str(error).lower()
        reason = Reason.COMPRESSION_BOMB if is_greedy else Reason.CORRUPT_COMPRESSION
        raise FileRefusedError(reason, growth.num_bytes) from None


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, with tiny pieces put together: whoever keeps pieces would pay for each."""
    waiting = bytearray()
    try:
        for piece in pieces:
            is_big = len(piece) >= _GATHERED_BYTES
            if waiting and (is_big or len(waiting) >= _GATHERED_BYTES):
                yield bytes(waiting)
                waiting.clear()
            if is_big:
                yield piece
            else:
                waiting += piece
    except (FileRefusedError, OSError):
        if waiting:
            yield bytes(waiting)
        raise
    if waiting:
        yield bytes(waiting)
