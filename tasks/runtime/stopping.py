"""Lets work come to a good place before a termination signal takes effect."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE_S = 1.0  # of the ten or so that whoever ends us gives us; a checkpoint takes some too


class Termination:
    """Whether SIGTERM came, and how long ago."""

    def __init__(self) -> None:
        self._arrived_at: float | None = None

    def note(self, signum: int, frame: FrameType | None) -> None:
        """Handles the signal."""
        if self._arrived_at is None:
            self._arrived_at = time.monotonic()

    def has_come(self) -> bool:
        """Whether to end at the next good place."""
        return self._arrived_at is not None

    def cannot_wait(self) -> bool:
        """Whether that was more than `PATIENCE_S` ago: the next good place may be too far."""
        return self._arrived_at is not None and time.monotonic() - self._arrived_at > PATIENCE_S


@contextmanager
def deferred_termination() -> Iterator[Termination]:
    """Holds SIGTERM back inside the block; yields what says whether one came.

    On the way out the signal is delivered to whoever handled it before, so the process still ends
    as it would have. Outside the main thread, where Python allows no handlers, nothing is held
    back and none ever comes.
    """
    termination = Termination()
    if threading.current_thread() is not threading.main_thread():
        yield termination
        return
    before = signal.signal(signal.SIGTERM, termination.note)
    try:
        yield termination
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        if termination.has_come():
            signal.raise_signal(signal.SIGTERM)
