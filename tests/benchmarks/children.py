"""Runs one child process at a time, and says what it and its descendants cost."""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

ROOT = Path(__file__).parents[2]
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_SAMPLE_S = 0.05


@dataclass(frozen=True)
class Spent:
    """What one child cost, its descendants included.

    Attributes:
        cpu_s: user and system time.
        wall_s: from start to end.
        peak_process_bytes: resident memory of the largest one process at its peak.
        peak_tree_bytes: largest sum of resident memory over all processes at one time, as sampled
            (0: not asked for). Pages that processes share count for each of them.
        report: what the child wrote to its standard output, as JSON.
    """

    cpu_s: float
    wall_s: float
    peak_process_bytes: int
    peak_tree_bytes: int
    report: dict[str, Any]


def run_child(command: Sequence[str | Path], *, watch_memory: bool = False) -> Spent:
    """Run a command from the repository's root to its end, and to that of all its descendants.

    A child's peak is never below this process's size when it started it, so keep this one small.

    Raises:
        RuntimeError: the child failed; with the last lines of its standard error.
    """
    others = _children()
    started = time.monotonic()
    with (
        _adopting_orphans(),
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        process = subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, stdout=output, stderr=errors
        )
        peak_tree_bytes = _watch(process.pid) if watch_memory else 0
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{command} ended with {process.returncode}: {_tail(errors)}")
        usages = [usage, *_reap_orphans(others)]
        output.seek(0)
        report = json.loads(output.read().splitlines()[-1])
    return Spent(
        cpu_s=sum(each.ru_utime + each.ru_stime for each in usages),
        wall_s=time.monotonic() - started,
        peak_process_bytes=max(each.ru_maxrss for each in usages) * 1024,
        peak_tree_bytes=peak_tree_bytes,
        report=report,
    )


def python_module(module: str, *arguments: str | Path) -> list[str | Path]:
    """The command that runs one of these benchmarks' modules with this interpreter."""
    return [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]


def absolute(path: str) -> Path:
    """A path that holds in a child too, whose working folder is another. Links are kept, since an
    environment's interpreter is one."""
    return Path(path).absolute()


def _watch(pid: int) -> int:
    """The largest sum of resident memory until the process ends; it is left to be waited for."""
    root = psutil.Process(pid)
    peak_bytes = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        peak_bytes = max(peak_bytes, sum(map(_resident_bytes, _tree(root))))
        time.sleep(_SAMPLE_S)
    return peak_bytes


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0  # it ended meanwhile


@contextmanager
def _adopting_orphans() -> Iterator[None]:
    """Have descendants whose parent ends first become children of this process meanwhile, so that
    none goes uncounted. Linux only; elsewhere such descendants are not counted.

    No longer than that: nobody waits for those who come later, and they would stay as zombies.
    """
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), ctypes.c_int()
    libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


def _children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def _reap_orphans(others: set[int]) -> list[Any]:
    """Wait for what the command left behind, not for the `others` that were there before."""
    usages: list[Any] = []
    while left := _children() - others:
        for pid in left:
            usages.append(os.wait4(pid, 0)[2])
    return usages


def _tail(file: IO[bytes]) -> str:
    file.seek(0)
    return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-20:])
