"""Lets work come to a good place before a termination signal takes effect."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def deferred_termination() -> Iterator[Callable[[], bool]]:
    """Holds SIGTERM back inside the block; yields a function that says whether one came.

    On the way out the signal is delivered to whoever handled it before, so the process still ends
    as it would have. Outside the main thread, where Python allows no handlers, nothing is held
    back and the answer is always no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    arrived = threading.Event()

    def note(signum: int, frame: FrameType | None) -> None:
        arrived.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield arrived.is_set
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        if arrived.is_set():
            signal.raise_signal(signal.SIGTERM)
