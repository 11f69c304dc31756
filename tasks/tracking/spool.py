"""The queue between training and the tracker: a file that only grows until all of it is sent.

What is appended survives the process. The owner holds a lock on the file; a file without a lock
belongs to a run that died, and whoever takes the lock may send what is left.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tasks.tracking.records import Record, Sent, decode, encode

READ_BYTES = 1 << 18  # one batch; about a thousand records


class Spool:
    """One run's queue.

    Attributes:
        path: the file.
        num_lost: records that could not be written, for want of disk space for example.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        """Use `create` or `take_over`."""
        self.path = path
        self.num_lost = 0
        self._descriptor = descriptor
        self._size_bytes = os.fstat(descriptor).st_size
        self._lock = threading.Lock()

    @classmethod
    def create(cls, folder: Path, run_id: str) -> Self:
        """A new queue, locked before anybody can see it.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        hidden, path = folder / f".{run_id}.new", folder / f"{run_id}.jsonl"
        descriptor = os.open(hidden, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        hidden.rename(path)
        return cls(path, descriptor)

    @classmethod
    def take_over(cls, path: Path) -> Self | None:
        """The queue of a run that died; None while its owner lives or where it is gone."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink == 0:  # sent and removed while we opened it
            os.close(descriptor)
            return None
        spool = cls(path, descriptor)
        spool._drop_torn_line()
        return spool

    def append(self, record: Record) -> int:
        """Add a record and return the offset behind it. Never raises; costs some 20 microseconds.

        A record the disk does not take is counted in `num_lost`.
        """
        line = encode(record)
        with self._lock:
            try:
                if os.write(self._descriptor, line) < len(line):
                    raise OSError("short write")
                self._size_bytes += len(line)
            except OSError:
                self.num_lost += 1
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._size_bytes)
            return self._size_bytes

    def read(self, offset: int) -> tuple[list[Record], int]:
        """The next records, the sender's own notes left out, and the offset behind them."""
        data = os.pread(self._descriptor, READ_BYTES, offset)
        end = data.rfind(b"\n") + 1
        while not end and len(data) > 0:  # one record larger than a batch, or half a line
            more = os.pread(self._descriptor, READ_BYTES, offset + len(data))
            if not more:
                return [], offset
            data += more
            end = data.rfind(b"\n") + 1
        records = [decode(line) for line in data[:end].splitlines()]
        return [each for each in records if each and not isinstance(each, Sent)], offset + end

    def everything(self) -> Iterator[Record]:
        """All records from the start, the sender's notes included."""
        with self.path.open("rb") as file:
            yield from filter(None, map(decode, file))

    def num_waiting(self, offset: int) -> int:
        """How many records stand behind `offset`."""
        count = 0
        while True:
            records, after = self.read(offset)
            count += len(records)
            if after == offset:
                return count
            offset = after

    def remove(self) -> None:
        """Remove the file: all of it has been sent. It is still to be released."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def discard(self) -> None:
        """Remove the file and let go of it."""
        self.remove()
        self.release()

    def release(self) -> None:
        """Let go of the file and leave it to the next start."""
        with self._lock, contextlib.suppress(OSError):
            os.close(self._descriptor)
            self._descriptor = -1

    def _drop_torn_line(self) -> None:
        """A process killed while writing leaves half a line; the next one must not glue to it."""
        with self.path.open("rb") as file:
            whole_bytes = sum(len(line) for line in file if line.endswith(b"\n"))
        os.ftruncate(self._descriptor, whole_bytes)
        self._size_bytes = whole_bytes


def leftovers(folder: Path) -> list[Path]:
    """Queues of earlier runs, oldest first; some may have a living owner."""
    return sorted(folder.glob("*.jsonl"))
