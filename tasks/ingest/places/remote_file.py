"""Remote files as Python sees any file."""

import errno
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeVar, cast

from tasks.ingest.places.remote_errors import Trouble, diagnose, reading
from tasks.ingest.places.remote_uris import HTTP, Uri, shown
from tasks.ingest.places.source_errors import SourceUnreachableError

BLOCK_BYTES = 2**21  # read ahead of what was asked for; two blocks are in memory at once
_PIECE_BYTES = 2**20
_WAITS_S = (0.5, 2.0)  # before further tries

_Answer = TypeVar("_Answer")


class _RemoteFile(io.RawIOBase):
    """Raises what `reading` does, and never ends before its end."""

    def __init__(self, file: Any, uri: Uri) -> None:
        super().__init__()
        self._file = file
        self._uri = uri
        self._num_bytes = _size(file)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def read(self, num_bytes: int | None = -1, /) -> bytes:
        """That many bytes, or all; less at the end of the file.

        Raises:
            OSError: the file may no longer be read.
            SourceChangedError: another one took its place.
            SourceUnreachableError: its server or the way to it fails, or it sent too little.
        """
        missing = self._num_bytes - self.tell()
        if num_bytes is not None and num_bytes >= 0:
            missing = min(missing, num_bytes)
        parts = []
        while missing > 0:
            parts.append(self._read_some(min(missing, _PIECE_BYTES)))
            missing -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readall(self) -> bytes:
        """All that is left."""
        return self.read()

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer as far as the file goes."""
        data = self.read(len(memoryview(buffer).cast("B")))
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place in the file.

        Raises:
            OSError: it lies before the beginning.
        """
        try:
            return int(self._file.seek(offset, whence))
        except ValueError:  # from a local file this is an error of the system
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None

    def tell(self) -> int:
        """The place in the file."""
        return int(self._file.tell())

    def close(self) -> None:
        """Let go of the file."""
        if not self.closed:
            self._file.close()
        super().close()

    def _read_some(self, num_bytes: int) -> bytes:
        with reading(self._uri):
            if self._uri.protocol in HTTP:
                data: bytes = patiently(lambda: self._file.read(num_bytes))
            else:
                data = self._file.read(num_bytes)
        if not data:
            raise SourceUnreachableError(
                f"{shown(str(self._uri))} ended after {self.tell()} of {self._num_bytes} bytes: "
                "the server cut it short, try again later"
            )
        return data


def patiently(ask: Callable[[], _Answer]) -> _Answer:
    """The answer, if need be to a second or third try: for libraries that do not try again."""
    for wait_s in _WAITS_S:
        try:
            return ask()
        except Exception as error:
            is_passing = isinstance(error, SourceUnreachableError)
            if not is_passing and diagnose(error) is not Trouble.UNREACHABLE:
                raise
        time.sleep(wait_s)
    return ask()


def as_file(file: Any, uri: Uri) -> BinaryIO:
    """A file of fsspec, made to fail like a local one and to be as long as it said."""
    return cast(BinaryIO, _RemoteFile(file, uri))


def in_memory(content: bytes) -> BinaryIO:
    """A file that is in memory anyway."""
    return io.BytesIO(content)


def downloaded(stream: Any, uri: Uri, num_bytes: int | None = None) -> BinaryIO:
    """A copy of a stream in an unnamed temporary file, which ends with its reader.

    Args:
        num_bytes: its size, where the server said.

    Raises:
        OSError: there is no room for it.
        SourceUnreachableError: it is not whole.
    """
    copy = _unnamed_file()
    try:
        with stream:
            for piece in _pieces(stream, uri):
                copy.write(piece)
        if num_bytes not in (None, copy.tell()):
            raise SourceUnreachableError(
                f"{shown(str(uri))} came as {copy.tell()} bytes and not {num_bytes}: "
                "try again later"
            )
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return copy


def _size(file: Any) -> int:
    if isinstance(getattr(file, "size", None), int):
        return int(file.size)
    num_bytes = int(file.seek(0, os.SEEK_END) or file.tell())
    file.seek(0)
    return num_bytes


def _unnamed_file() -> BinaryIO:
    return cast(BinaryIO, tempfile.TemporaryFile())


def _pieces(stream: Any, uri: Uri) -> Iterator[bytes]:
    while True:
        with reading(uri):
            piece: bytes = stream.read(_PIECE_BYTES)
        if not piece:
            return
        yield piece
