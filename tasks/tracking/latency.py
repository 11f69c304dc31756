"""How long MLflow takes to answer, also while it has not answered yet."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from tasks.tracking.location import Location

SLOW_S = 5.0  # for a small record; a machine with too much to do takes a second or two


class Latency:
    """A stop watch that one thread runs and others read.

    Args:
        slow_s: what takes longer than that is slow.
    """

    def __init__(self, slow_s: float = SLOW_S) -> None:
        self._slow_s = slow_s
        self._asked_s: float | None = None
        self._last_s = 0.0

    @classmethod
    def of(cls, location: Location) -> Self:
        """A database is slow where the machine is or while it is made: it counts as there."""
        return cls(SLOW_S if location.is_server else math.inf)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """The block asks something that a healthy MLflow answers at once."""
        began_s = time.monotonic()
        self._asked_s = began_s
        try:
            yield
        finally:
            self._last_s = time.monotonic() - began_s
            self._asked_s = None

    @contextmanager
    def transferring(self) -> Iterator[None]:
        """The block moves what is large: it may take its time, whatever the last answer took."""
        self._last_s = 0.0
        yield

    @property
    def is_slow(self) -> bool:
        """Whether the last answer took too long, or the one that is awaited does."""
        asked_s = self._asked_s
        waited_s = 0.0 if asked_s is None else time.monotonic() - asked_s
        return max(waited_s, self._last_s) > self._slow_s
