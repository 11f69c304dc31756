"""Lets a run outlive the worker that reads what it prints.

A worker that is killed leaves its runs behind, and their output is a pipe that nobody reads. To
write into it is an error, and rich, with which Prefect prints its log, ends the process for it. A
training that has ended well would be told of as crashed, for its last line. The log that goes to
Prefect's API is not touched.
"""

import contextlib
import logging
import os
import select
import stat
import threading
from functools import cache

from prefect.logging.handlers import PrefectConsoleHandler

from flows.terminal import Terminal

_STDOUT, _STDERR = 1, 2


class PatientConsole(Terminal):
    """A console that falls silent where rich would end the process: when its reader is gone."""

    def on_broken_pipe(self) -> None:
        """Print nothing from now on."""
        self.quiet = True


@cache
def outlive_reader() -> None:
    """Once in this process: let what is printed vanish from the moment its reader is gone.

    For output that is a pipe; what child processes have inherited is not reached.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):  # until the watcher has seen it
            handler.console = PatientConsole(file=handler.stream, markup=False, highlight=False)
    pipes = {each: inode for each in (_STDOUT, _STDERR) if (inode := _pipe(each))}
    threading.Thread(target=_watch, args=(pipes,), name="log-pipe", daemon=True).start()


def _pipe(descriptor: int) -> int | None:
    """What the descriptor is open on, if it is a pipe."""
    with contextlib.suppress(OSError):
        status = os.fstat(descriptor)
        return status.st_ino if stat.S_ISFIFO(status.st_mode) else None
    return None


def _watch(pipes: dict[int, int]) -> None:
    poller = select.poll()
    for descriptor in pipes:
        poller.register(descriptor, 0)  # errors only, and they are told at once
    nowhere = os.open(os.devnull, os.O_WRONLY)
    watched = dict(pipes)
    while watched:
        for descriptor, _ in poller.poll():
            poller.unregister(descriptor)
            if _pipe(descriptor) == watched.pop(descriptor):  # nobody has opened it on another
                os.dup2(nowhere, descriptor)
