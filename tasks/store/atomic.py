"""Files that appear under their name whole or not at all, also after a power failure."""

import contextlib
import os
import secrets
from pathlib import Path

from tasks.store.disk import explaining_full_disk

PART_SUFFIX = ".part"


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put `data` at `path`: readers see the old file or the new one, never a half.

    Args:
        path: in a folder that exists.
        data: the whole content.
        durable: wait until it would survive a power failure; needless for what is only advice.

    Raises:
        DiskFullError: it does not fit; `path` is as it was.
        OSError: the disk refused; `path` is as it was.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}{PART_SUFFIX}")
    try:
        with explaining_full_disk(path, len(data)):
            _write_new(part, data, durable=durable)
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    if durable:
        fsync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, so that they survive a power failure.

    Raises:
        OSError: one of them cannot be made, or a file is in the way.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        with contextlib.suppress(PermissionError):  # one may be written to and yet not be listed
            fsync_folder(each.parent)


def fsync_file(path: Path) -> None:
    """Wait until the file's content would survive a power failure."""
    _fsync(path, os.O_RDONLY)


def fsync_folder(path: Path) -> None:
    """Wait until the names in the folder would survive a power failure."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def _write_new(path: Path, data: bytes, *, durable: bool) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        if durable:
            _wait_for(file.fileno(), path)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        _wait_for(descriptor, path)
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, path: Path) -> None:
    """Flush it to the disk; an error names the file, which the system's does not."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise
