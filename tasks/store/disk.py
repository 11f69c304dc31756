"""Says plainly that a disk is full, whichever library ran into it."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
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
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    free_bytes = shutil.disk_usage(existing).free
    needed = f"{num_bytes:,} bytes are needed" if num_bytes else "more is needed"
    return DiskFullError(
        f"the disk is full at {path}: {needed}, {free_bytes:,} bytes are free "
        "(or a quota or file size limit is reached); make room and run again, "
        "what was finished is kept"
    )
