"""Tries, before any work, whether what a commit needs is possible: permissions and one disk."""

import errno
import os
import secrets
from pathlib import Path

from model.errors import RequestError
from tasks.store.atomic import make_folder


def prepare_folders(folders: list[Path]) -> None:
    """Make folders that are missing, and see that files can be made in all of them.

    Raises:
        OSError: one of them cannot be made or written to.
    """
    for folder in folders:
        make_folder(folder)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
            number = errno.EROFS if is_read_only else errno.EACCES
            raise OSError(number, os.strerror(number), str(folder))


def try_renames(folders: list[Path]) -> None:
    """Take an empty folder from each of the folders to the next by renaming, and remove it.

    It is tried, since permissions and mount points only tell half.

    Raises:
        OSError: one of the renames is not possible; nothing is left.
    """
    probe = f".probe-{secrets.token_hex(6)}"
    place = folders[0] / probe
    place.mkdir()
    try:
        for folder in folders[1:]:
            place = place.rename(folder / probe)
    finally:
        place.rmdir()


def raise_unwritable(path: Path, error: OSError) -> None:
    """Say what keeps a workspace from being written to.

    Args:
        path: of the workspace.
        error: what the system said.

    Raises:
        RequestError: unless the disk is full or fails.
        OSError: it does.
    """
    if error.errno == errno.EXDEV:
        raise RequestError(
            f"workspace {path}: {error.filename} and {error.filename2} lie on different disks, so "
            "nothing could be committed at once: put staging, artifacts and quarantine, and what "
            "is below them, on one"
        ) from error
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        raise error
    raise RequestError(
        f"workspace {path} cannot be written to ({error.strerror} at {error.filename}): "
        "choose another folder or ask for permission"
    ) from error
