"""Lets what is put in order after SIGTERM come to its end, though the signal is repeated."""

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

CLEARING_S = 10.0  # what whoever ends us gives us
# Prefect sets it in a process that its runner watches over.
_WATCHED_VARIABLE = "PREFECT__FLOW_RUN_ID"

Handler = Callable[[int, FrameType | None], object]


class Unrepeated:
    """A handler that passes a signal on. Who asks again while things are put in order is not to
    interrupt that; after `CLEARING_S` one counts again, since the first may have come where no
    exception gets through."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._since_s = -math.inf

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Handle the signal, or pass over it."""
        now_s = time.monotonic()
        if now_s - self._since_s > CLEARING_S:
            self._since_s = now_s
            self._handler(signum, frame)


@contextlib.contextmanager
def clearing_in_peace() -> Iterator[None]:
    """In the block, only the first SIGTERM reaches whoever handles it, see `Unrepeated`.

    While a flow runs that is Prefect, whose own handler raises an exception each time. To be used
    in every flow: one that begins in another puts that handler back. Does nothing outside the main
    thread, where Python allows no handlers, and in a process that Prefect's runner watches over: it
    asks whether the handler is still Prefect's own before it takes the end for a cancellation.
    """
    before = signal.getsignal(signal.SIGTERM)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not callable(before) or _WATCHED_VARIABLE in os.environ:
        yield
        return
    signal.signal(signal.SIGTERM, Unrepeated(before))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
