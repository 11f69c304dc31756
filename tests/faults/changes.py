"""Names what a process changes on the disk, and ends, fails or pauses it before such a change.

Python tells an audit hook of every file that is opened for writing, made, renamed and removed, so
every place where a crash could leave something half is found by itself, and none is forgotten when
the code changes. A name is an event and a path: ``os.rename artifacts/vocab/ID``. What libraries
write without Python (Arrow, safetensors) lies between two of them.
"""

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGES = {
    "open",
    "os.rename",
    "os.mkdir",
    "os.chmod",
    "os.remove",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
    "shutil.rmtree",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
# What differs from run to run: ids of requests, attempts and temporary files.
_VARIABLE = re.compile(
    r"[0-9a-f]{32}|(?<=[.-])[0-9a-f]{12}(?=\.|$)|(?<=/)\d{6}-[0-9a-f]{8}|\d{8}-\d{6}-\w+"
)

Deed = Callable[[], None]


def kill_self() -> None:
    """What an out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill_disk() -> None:
    """What a full disk says."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def pause_self() -> None:
    """What a laptop's lid does; somebody sends SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(frozen=True)
class Ended:
    """How a process ended, as `os.waitstatus_to_exitcode` says it, and what it had changed."""

    status: int
    changes: list[str]


def changes_of(folder: Path, work: Callable[[], object]) -> list[str]:
    """The names of all changes below `folder` that `work` makes, in a process of its own.

    Args:
        folder: absolute.
        work: must succeed.
    """
    ended = _watched(folder, work, lambda name: None)
    assert ended.status == 0
    return ended.changes


def ended_at(
    name: str, folder: Path, work: Callable[[], object], deed: Deed = kill_self, *, turn: int = 1
) -> Ended:
    """Do `work` in a process of its own, and the `deed` in it before a change of that name.

    Args:
        name: as `changes_of` gives them.
        folder: absolute.
        work: what to do.
        deed: done once.
        turn: at which of the changes of this name, from 1.

    Returns:
        How it ended, and the changes before that one.

    Raises:
        AssertionError: it never came to that change.
    """
    left = [turn]

    def at(seen: str) -> None:
        if seen == name:
            left[0] -= 1
            if left[0] == 0:
                deed()

    ended = _watched(folder, work, at)
    places = [place for place, seen in enumerate(ended.changes) if seen == name]
    assert len(places) >= turn, f"the work ended with {ended.status} without {name}"
    return Ended(ended.status, ended.changes[: places[turn - 1]])


def begun_apart(
    work: Callable[[], object], folder: Path, at: Callable[[str], None] = lambda name: None
) -> int:
    """Begin `work` in a process of its own that calls `at` before every change below `folder`.

    Returns:
        Its id, for who waits for it.
    """
    return _forked(work, lambda: _hook(folder, at))


def done_apart(work: Callable[[], object]) -> int:
    """How a process that does `work` ends."""
    child = _forked(work, lambda: None)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _watched(folder: Path, work: Callable[[], object], at: Callable[[str], None]) -> Ended:
    """Do `work` in a process of its own; every change below `folder` is told, then `at` is."""
    reading, writing = os.pipe()

    def tell(name: str) -> None:
        os.write(writing, f"{name}\n".encode())
        at(name)

    child = _forked(work, lambda: _hook(folder, tell))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        changes = pipe.read().split("\n")[:-1]
    return Ended(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), changes)


def _forked(work: Callable[[], object], prepare: Deed) -> int:
    child = os.fork()
    if child:
        return child
    try:
        prepare()
        work()
    except BaseException as error:
        os.write(2, f"in the child: {type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


def _hook(folder: Path, at: Callable[[str], None]) -> None:
    """Have `at` called before every change below `folder`, by any thread, one at a time."""
    inside = threading.local()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in CHANGES and not getattr(inside, "busy", False):
            inside.busy = True
            try:
                name = _name(event, arguments, folder)
                if name:
                    at(name)
            finally:
                inside.busy = False

    sys.addaudithook(hook)


def _name(event: str, arguments: tuple[Any, ...], folder: Path) -> str | None:
    """None for what is no change, or lies elsewhere."""
    if event == "open" and not int(arguments[2] or 0) & _WRITING:
        return None
    path = arguments[1] if event in ("os.rename", "os.symlink", "os.link") else arguments[0]
    if not isinstance(path, str | bytes | os.PathLike):
        return None  # a descriptor: named when it was opened
    text = os.fsdecode(path)
    if event in ("os.remove", "os.rmdir") and int(arguments[1]) >= 0:  # as `shutil.rmtree` does
        text = str(Path(f"/proc/self/fd/{arguments[1]}").readlink() / text)
    if not text.startswith(f"{folder}/"):
        return None
    return f"{event} {_VARIABLE.sub('ID', text[len(str(folder)) + 1 :])}"
