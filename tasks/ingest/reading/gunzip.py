"""Decompresses gzip as a stream of bounded pieces, and stops at bombs, truncation and junk."""

import zlib
from collections.abc import Iterable, Iterator

from tasks.ingest.reading.records import FileRefusedError, Reason

GZIP_MAGIC = b"\x1f\x8b\x08"
PIECE_BYTES = 2**20
_MAX_RATIO = 250  # text rarely passes 20; the format's own limit is 1,032
_MAX_BYTES = 2**36
_UNCHECKED_BYTES = 2**23  # so little does no harm at any ratio


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces of at most 1 MiB. Several members in a row and zero padding are read as gzip does.

    Raises:
        FileRefusedError: truncated, corrupt, followed by something else, or growing without
            measure (over 250 times its size, or past 64 GiB). Pieces before it are good.
    """
    member = _Member()
    num_in = num_out = 0
    for chunk in chunks:
        num_in += len(chunk)
        for piece in member.feed(chunk):
            num_out += len(piece)
            num_used = num_in - len(member.waiting)
            if num_out > _UNCHECKED_BYTES and num_out > min(_MAX_BYTES, _MAX_RATIO * num_used):
                raise FileRefusedError(Reason.COMPRESSION_BOMB, num_out)
            yield piece
    if not member.is_complete:
        raise FileRefusedError(Reason.TRUNCATED_COMPRESSION, num_out)


class _Member:
    """The gzip member being read; the next one follows it by itself."""

    def __init__(self) -> None:
        self.waiting = b""
        self._decoder = zlib.decompressobj(wbits=31)
        self._is_first = True

    @property
    def is_complete(self) -> bool:
        return self._decoder.eof

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self.waiting = chunk
        while True:
            if self._decoder.eof:
                self.waiting = self.waiting.lstrip(b"\0")
                if not self.waiting:
                    return
                self._decoder, self._is_first = zlib.decompressobj(wbits=31), False
            piece = self._decode()
            if piece:
                yield piece
            elif not self.waiting:
                return

    def _decode(self) -> bytes:
        try:
            piece = self._decoder.decompress(self.waiting, PIECE_BYTES)
        except zlib.error as error:
            is_junk = "header" in str(error) and not self._is_first
            reason = Reason.DATA_AFTER_COMPRESSION if is_junk else Reason.CORRUPT_COMPRESSION
            raise FileRefusedError(reason) from None
        self.waiting = self._decoder.unused_data or self._decoder.unconsumed_tail
        return piece
