"""Decoders of compressed data, all with the same manners and limits."""

import lzma
import zlib
from typing import Protocol

from backports import zstd

_MAX_MEMORY_BYTES = 2**27

# What they raise over data that is damaged or wants too much memory.
DECODER_ERRORS = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, ValueError, MemoryError)


class Decoder(Protocol):
    """What the decompressors of bz2, lzma and zstd have in common: each reads one member."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class ZlibDecoder:
    """zlib's decompressor with the manners of the others."""

    def __init__(self, window_bits: int) -> None:
        self._decoder = zlib.decompressobj(wbits=window_bits)
        self._is_full = False

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not (self._is_full or self._decoder.unconsumed_tail)

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        piece = self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)
        self._is_full = len(piece) == max_length
        return piece


def new_lzma_decoder(format: int = lzma.FORMAT_XZ) -> Decoder:
    """A decoder for .xz, or for the older .lzma, that takes at most 128 MiB."""
    return lzma.LZMADecompressor(format, memlimit=_MAX_MEMORY_BYTES)


def new_zstd_decoder() -> Decoder:
    """A decoder for zstd with a window of at most 128 MiB."""
    max_log = _MAX_MEMORY_BYTES.bit_length() - 1
    return zstd.ZstdDecompressor(options={int(zstd.DecompressionParameter.window_log_max): max_log})
