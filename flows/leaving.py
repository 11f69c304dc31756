"""Sees to it that SIGTERM ends the process in time, whatever it waits for by then.

Prefect tells its API of the end before it lets a run go, and asks again for a minute where the API
is away, for seven where it hangs. Whoever ends us gives ten seconds or so.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

STOPPED = "stopped by SIGTERM: run the same command again to go on"
TERMINATED = 143
LEAVE_S = 6.0  # for Prefect and MLflow to hear of the end

told = threading.Event()  # set by whoever has said that the process was stopped

_works: set[object] = set()  # what is at work; while there is any, it would be lost by an end
_works_change = threading.Condition()
_watching = threading.Event()
_skipping = threading.Event()


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """What is done in the block is left to come to its own end after SIGTERM.

    Blocks may lie in each other, and run beside each other in threads.
    """
    work = object()  # not a count: an exception of the signal's may come between any two lines
    try:
        with _works_change:
            _works.add(work)
        yield
    finally:
        with _works_change:
            _works.discard(work)
            _works_change.notify_all()


def leave_in_time() -> None:
    """From now on the process ends `LEAVE_S` after SIGTERM at the latest, or after its stage did.

    For the main thread, once a process. Handlers of the signal stay what they are: Prefect puts
    its own in place of ours while a flow runs, so the signal is heard of beside them.
    """
    if _watching.is_set():
        return
    _watching.set()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=_forget)
    threading.Thread(target=_watch, args=(reading,), name="corpusmith-leaving", daemon=True).start()


def skip_teardown() -> None:
    """From now on the process, once it was stopped, ends when all that has something to end has.

    Taking gigabytes of modules apart takes seconds on a busy machine, and is of no use. To be
    called before libraries are loaded that end something at exit, so that it comes after that.
    """
    if not _skipping.is_set():
        _skipping.set()
        atexit.register(_end_at_once)


def _end_at_once() -> None:
    if told.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(TERMINATED)


def _forget() -> None:
    """The signals of a forked child, such as a data loader's, are not ours."""
    signal.set_wakeup_fd(-1)


def _watch(reading: int) -> None:
    while signal.SIGTERM not in os.read(reading, 64):  # a byte for each signal, its number
        pass
    _wait_for_work()
    threading.Event().wait(LEAVE_S)
    _wait_for_work()  # a stage may have begun just before the signal took effect
    if not told.is_set():
        sys.stderr.write(f"corpusmith: {STOPPED}\n")
        sys.stderr.flush()
    os._exit(TERMINATED)


def _wait_for_work() -> None:
    with _works_change:
        _works_change.wait_for(lambda: not _works)
