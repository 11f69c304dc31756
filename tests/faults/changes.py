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


def changes_of(folder: Path, work: Callable[[], object]) -> list[str]:
    """The names of all changes below `folder` that `work` makes, in a process of its own.

    Args:
        folder: absolute.
        work: must succeed.
    """
    reading, writing = os.pipe()
    child = _forked(work, lambda: _hook(folder, lambda name: _tell(writing, name)))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        names = pipe.read().split("\n")[:-1]
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return names


def ended_at(
    name: str, folder: Path, work: Callable[[], object], deed: Deed = kill_self, *, turn: int = 1
) -> int:
    """Do `work` in a process of its own, and the `deed` in it before a change of that name.

    Args:
        name: as `changes_of` gives them.
        folder: absolute.
        work: what to do.
        deed: done once.
        turn: at which of the changes of this name, from 1.

    Returns:
        How the process ended, as `os.waitstatus_to_exitcode` says it.

    Raises:
        AssertionError: it ended well without coming to that change.
    """
    reading, writing = os.pipe()
    left = [turn]

    def at(seen: str) -> None:
        if seen == name:
            left[0] -= 1
            if left[0] == 0:
                _tell(writing, name)
                deed()

    child = _forked(work, lambda: _hook(folder, at))
    os.close(writing)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with os.fdopen(reading, encoding="utf-8") as pipe:
        has_come = bool(pipe.read())
    assert has_come, f"the work ended with {status} without {name}"
    return status


def done_apart(work: Callable[[], object]) -> int:
    """How a process that does `work` ends."""
    child = _forked(work, lambda: None)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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
    if not text.startswith(f"{folder}/"):
        return None
    return f"{event} {_VARIABLE.sub('ID', text[len(str(folder)) + 1 :])}"


def _tell(descriptor: int, name: str) -> None:
    os.write(descriptor, f"{name}\n".encode())
