"""Files wherever they lie: where that is, how to open them, and whether they are still the same."""

import errno
import io
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tasks.ingest.places.remote_access import open_uri, uri_state
from tasks.ingest.places.remote_uris import is_uri
from tasks.ingest.places.states import State, local_state

# O_NONBLOCK: a pipe put in the file's place would make the opening wait for a writer.
_FLAGS = ("O_BINARY", "O_CLOEXEC", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK")


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file, where it lies, and its name relative to the path it was found through.

    Attributes:
        name: text that any table can hold; never a path to open.
        location: an absolute local path, bytes of it that are not UTF-8 as `os.fsdecode` has them,
            or a URI without credentials.
        state: of its content, where the listing told; None: it must be asked for.
    """

    name: str
    location: str
    state: State | None = field(default=None, compare=False)

    @property
    def path(self) -> Path:
        """Where a local file lies."""
        assert not is_uri(self.location)
        return Path(self.location)


def open_location(location: str) -> BinaryIO:
    """A file to read from any place in it.

    A local one is not buffered. It must be a regular file: a link that took the place of the file
    that was found is not followed. A remote one is read in blocks of 2 MiB.

    Raises:
        OSError: it is gone, may not be read, or is no regular file.
        SourceUnreachableError: its server or the way to it fails, now or while it is read.
    """
    if is_uri(location):
        return open_uri(location)
    _refuse_irregular(os.lstat(location), location)  # some devices act on being opened
    flags = os.O_RDONLY
    for name in _FLAGS:
        flags |= getattr(os, name, 0)
    file = io.FileIO(os.open(location, flags), "rb")
    try:
        _refuse_irregular(os.fstat(file.fileno()), location)
    except OSError:
        file.close()
        raise
    return file


def state_of(location: str) -> State | None:
    """What changes when the content does; None where the server says nothing reliable of that.

    Raises:
        OSError: it is gone, or nothing about it may be known.
        SourceUnreachableError: its server or the way to it fails.
    """
    return uri_state(location) if is_uri(location) else local_state(os.lstat(location))


def _refuse_irregular(status: os.stat_result, location: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", location)
