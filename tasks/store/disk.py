"""Sees that there is room before work begins, and says plainly that a disk is full after."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.store.errors import DiskFullError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Libraries that write from native code keep only the system's sentence, not its number.
_SENTENCES = ("No space left on device", "Disk quota exceeded", "File too large")


@contextlib.contextmanager
def explaining_full_disk(path: Path, num_bytes: int | None = None) -> Iterator[None]:
    """Turn any error that says the disk is full into one that names path and bytes.

    Args:
        path: what is being written.
        num_bytes: how large it will be, where that is known.

    Raises:
        DiskFullError: in place of an error that a full disk, quota or size limit caused.
    """
    try:
        yield
    except Exception as error:  # libraries wrap it in errors of their own
        if isinstance(error, DiskFullError) or not says_disk_is_full(error):
            raise
        raise disk_full(path, num_bytes) from error


def says_disk_is_full(error: BaseException | None) -> bool:
    """Whether the error, or what caused it, is that nothing more can be written."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(sentence in str(error) for sentence in _SENTENCES):
            return True
        error = error.__cause__ or error.__context__
    return False


def disk_full(path: Path, num_bytes: int | None = None) -> DiskFullError:
    """The error to raise when `path`, of `num_bytes` if known, could not be written."""
    needed = f"{num_bytes:,} bytes are needed" if num_bytes else "more is needed"
    return DiskFullError(_complaint(path, needed))


def _complaint(path: Path, needed: str) -> str:
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    free_bytes = shutil.disk_usage(existing).free
    return (
        f"the disk is full at {path}: {needed}, {free_bytes:,} bytes are free "
        "(or a quota or file size limit is reached); make room and run again, "
        "what was finished is kept"
    )


@dataclass
class Room:
    """What a folder that is being filled will need, as far as its stage can tell.

    Attributes:
        folder: exists; it may hold what an earlier attempt finished.
    """

    folder: Path
    _num_bytes: int = 0

    def need(self, num_bytes: float) -> None:
        """See, before the work, that the folder can come to hold so many bytes.

        Args:
            num_bytes: an estimate, of all of the stage's files together.

        Raises:
            DiskFullError: so much is not free, beside what the folder holds already.
        """
        self._num_bytes = int(num_bytes)
        free_bytes = shutil.disk_usage(self.folder).free
        if self._missing_bytes > free_bytes:
            raise DiskFullError(
                f"not enough room at {self.folder}: about {self._missing_bytes:,} bytes more are "
                f"needed, {free_bytes:,} bytes are free; make room, or choose another workspace, "
                "and run again, what was finished is kept"
            )

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Around the work: an error that says the disk is full names the folder and the need.

        Raises:
            DiskFullError: in place of such an error.
        """
        try:
            yield
        except Exception as error:  # libraries wrap it in errors of their own
            if isinstance(error, DiskFullError) or not says_disk_is_full(error):
                raise
            raise DiskFullError(_complaint(self.folder, self._still_needed)) from error

    @property
    def _still_needed(self) -> str:
        if self._missing_bytes:
            return f"{self._missing_bytes:,} bytes are needed"
        if not self._num_bytes:
            return "more is needed"  # the stage did not say how much
        return f"more than the {self._num_bytes:,} bytes that were expected are needed"

    @property
    def _missing_bytes(self) -> int:
        return max(self._num_bytes - _held_bytes(self.folder), 0)


def _held_bytes(folder: Path) -> int:
    """Of the files below a folder into which other threads may still write."""
    held_bytes = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                held_bytes += Path(parent, name).lstat().st_size
    return held_bytes
