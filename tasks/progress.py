"""One running total over all shards of a stage, which may run in several threads."""

import threading
from typing import Protocol

from tasks.stage import Reporter


class Progress(Protocol):
    """Hears how much is done."""

    def add(self, num_done: int) -> None:
        """Say that so many more are done."""


class SharedProgress:
    """Tells the reporter how much of the whole is done; any thread may add its part."""

    def __init__(self, report: Reporter, total: int, unit: str) -> None:
        self._report = report
        self._total = total
        self._unit = unit
        self._done = 0
        self._lock = threading.Lock()

    def add(self, num_done: int) -> None:
        """Say that so many more are done."""
        with self._lock:
            self._done += num_done
            self._report.progress(self._done, self._total, self._unit)
