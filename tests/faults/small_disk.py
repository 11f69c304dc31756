"""A disk of a few megabytes that can really be filled: memory, mounted where only we see it."""

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.faults.changes import done_apart, fill_disk

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 1, 32, 16384, 1 << 18
BALLAST = "ballast"
# How a system says that such a thing is not for us; the last where it lets us have 0 namespaces.
_FORBIDDEN = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOSPC}
_STATUS = 100  # added to the error's number, so that it is none that a mistake of ours ends with


def mount(place: Path, num_bytes: int) -> None:
    """Put an empty disk of that size at a folder, for this process and its children only.

    Args:
        place: exists; what it holds is hidden.
        num_bytes: a multiple of a page.

    Raises:
        OSError: this system does not let us.
    """
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    apart = _CLONE_NEWNS if user == 0 else _CLONE_NEWNS | _CLONE_NEWUSER
    _check(libc.unshare(apart))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    _check(libc.mount(b"none", bytes(place), b"tmpfs", 0, f"size={num_bytes}".encode()))


def resize(place: Path, num_bytes: int) -> None:
    """Give the disk that `mount` has put there another size."""
    libc = ctypes.CDLL(None, use_errno=True)
    data = f"size={num_bytes}".encode()
    _check(libc.mount(b"none", bytes(place), b"tmpfs", _MS_REMOUNT, data))


def let_write(place: Path, *, allowed: bool) -> None:
    """Make the disk that `mount` has put there read-only, as systems do after errors, or end that.

    Raises:
        OSError: it is to be read-only, and a file on it is open for writing (EBUSY).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _MS_REMOUNT if allowed else _MS_REMOUNT | _MS_RDONLY
    _check(libc.mount(b"none", bytes(place), b"tmpfs", flags, None))


def fill(place: Path) -> None:
    """Leave no byte free on the disk, as another program may; remove `BALLAST` to end that."""
    with contextlib.suppress(OSError), (place / BALLAST).open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**16))
    with contextlib.suppress(OSError), (place / BALLAST).open("ab", buffering=0) as file:
        while True:
            file.write(b"1")


def why_not_mounted(place: Path) -> str | None:
    """Why this system lets us mount no disk of our own; None where it does.

    Raises:
        AssertionError: it fails for another reason, which is a mistake of ours.
    """

    def try_it() -> None:
        try:
            mount(place, 2**20)
        except OSError as error:
            if error.errno in _FORBIDDEN:
                os._exit(_STATUS + error.errno)
            raise

    status = done_apart(try_it)
    if status == 0:
        return None
    assert status - _STATUS in _FORBIDDEN, f"mounting a disk ended with {status}"
    return f"this system lets us mount no disk of our own: {os.strerror(status - _STATUS)}"


def copied(folder: Path, disk: Path) -> Path:
    """A copy of a workspace on the disk."""
    place = disk / "workspace"
    shutil.copytree(folder, place, symlinks=True)
    return place


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def refuse_new_files(folder: Path) -> None:
    """From now on nothing can be made below the folder, as if its disk had no room; raises that."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        makes = event == "os.mkdir" or (event == "open" and int(arguments[2] or 0) & os.O_CREAT)
        if makes and str(arguments[0]).startswith(f"{folder}/"):
            fill_disk()

    sys.addaudithook(hook)
    fill_disk()
