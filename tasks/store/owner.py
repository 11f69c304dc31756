"""Which process holds a lease, and whether it is known to be gone."""

import os
import socket
from functools import cache
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

_PROC = Path("/proc")


class Owner(BaseModel):
    """A process, so that no other, before or after, on this machine or another, equals it.

    Attributes:
        machine: host name, boot, and where there are such the process namespace.
        pid: its number.
        started: when it started, in the machine's own terms.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    machine: str
    pid: int
    started: str


def this_process() -> Owner:
    """The process that asks."""
    pid = os.getpid()
    return Owner(machine=_this_machine(), pid=pid, started=_started(pid) or "")


def is_known_dead(owner: Owner) -> bool:
    """True where it ran on this machine since the last boot and runs no more; else unknown."""
    if owner.machine != _this_machine():
        return False
    started = _started(owner.pid)
    if started is None:
        return not psutil.pid_exists(owner.pid)
    return started != owner.started


def is_alive_here(owner: Owner) -> bool:
    """True where it runs on this machine now; what runs on another one cannot be seen."""
    return owner.machine == _this_machine() and _started(owner.pid) == owner.started


@cache
def _this_machine() -> str:
    boot = _text(_PROC / "sys/kernel/random/boot_id")
    namespace = _PROC / "self/ns/pid"
    return "/".join([socket.gethostname(), boot, str(namespace.readlink()) if boot else ""])


def _started(pid: int) -> str | None:
    """When the process started; "gone" for one that ended and waits for its parent to notice.

    Linux counts ticks since boot here. psutil adds the wall clock to them, and a clock that is
    set would make a live process look like another one.
    """
    if not _PROC.joinpath("self/stat").exists():
        return _started_by_wall_clock(pid)
    fields = _text(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    if not fields:
        return None
    return "gone" if fields[0] in "ZX" else fields[19]


def _started_by_wall_clock(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return "gone" if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
