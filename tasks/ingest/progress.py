"""Tells a reporter about once a second how many bytes of the sources have been gone through."""

import threading
import time

from tasks.stage import Reporter

_INTERVAL_S = 1.0


class ByteProgress:
    """Progress over a number of passes through the same files; safe to use from several threads."""

    def __init__(self, report: Reporter, total_bytes: int) -> None:
        self._report = report
        self._total_bytes = total_bytes
        self._finished_bytes = 0
        self._current_bytes = 0
        self._told_at = time.monotonic()
        self._lock = threading.Lock()

    def advance(self, num_bytes: int) -> None:
        """Note bytes read of what is being read."""
        with self._lock:
            self._current_bytes += num_bytes
            now = time.monotonic()
            if now - self._told_at >= _INTERVAL_S:
                self._told_at = now
                self._tell()

    def finish(self, num_bytes: int) -> None:
        """Note that so many bytes are done with, however many of them were read."""
        with self._lock:
            self._finished_bytes += num_bytes
            self._current_bytes = 0

    def close(self) -> None:
        """Say that all is done."""
        with self._lock:
            self._finished_bytes, self._current_bytes = self._total_bytes, 0
            self._tell()

    def _tell(self) -> None:
        done = min(self._finished_bytes + self._current_bytes, self._total_bytes)
        self._report.progress(done, self._total_bytes, "bytes")
