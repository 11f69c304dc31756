"""Tells a reporter about once a second how many bytes of the sources have been gone through."""

import time

from tasks.ingest.sources import Source
from tasks.stage import Reporter

_INTERVAL_S = 1.0


class ByteProgress:
    """Progress over a number of passes through the same files."""

    def __init__(self, report: Reporter, total_bytes: int) -> None:
        self._report = report
        self._total_bytes = total_bytes
        self._finished_bytes = 0
        self._file_bytes = 0
        self._told_at = time.monotonic()

    def advance(self, num_bytes: int) -> None:
        """Note bytes read of the current file."""
        self._file_bytes += num_bytes
        now = time.monotonic()
        if now - self._told_at >= _INTERVAL_S:
            self._told_at = now
            self._tell()

    def finish(self, source: Source) -> None:
        """Note that a file is done, however much of it was read."""
        self._finished_bytes += source.num_bytes
        self._file_bytes = 0

    def close(self) -> None:
        """Say that all is done."""
        self._finished_bytes, self._file_bytes = self._total_bytes, 0
        self._tell()

    def _tell(self) -> None:
        done = min(self._finished_bytes + self._file_bytes, self._total_bytes)
        self._report.progress(done, self._total_bytes, "bytes")
