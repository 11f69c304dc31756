"""A lease that lies in a folder: a row of files ``<fence>.json``, of which the highest counts.

Taking over means being the first to create the next one, which the file system decides.
"""

import contextlib
import re
from pathlib import Path

from tasks.store.atomic import write_atomic
from tasks.store.disk import explaining_full_disk
from tasks.store.errors import DiskFullError
from tasks.store.lease import Seen, parse_record

_FENCE_FILE = re.compile(r"(\d{6,})\.json")


class FolderSeat:
    """A lease on a file system; see `tasks.store.lease.Seat`."""

    poll_s = 0.1

    def __init__(self, folder: Path) -> None:
        """Args:
        folder: of this lease alone; made when it is first taken.
        """
        self._folder = folder

    def newest(self) -> Seen | None:
        """See `Seat.newest`."""
        fences = self._fences()
        if not fences:
            return None
        try:
            raw = self._path(fences[-1]).read_bytes()
        except FileNotFoundError:  # removed by a holder with a higher fence
            return self.newest()
        return Seen(fences[-1], raw, parse_record(raw))

    def claim(self, before: Seen | None, fence: int, record: bytes) -> Seen | None:
        """See `Seat.claim`."""
        if not self._begin(self._path(fence), record):
            return None
        if self._fences()[-1] != fence:  # we looked long ago; the row has moved on
            self._path(fence).unlink(missing_ok=True)
            return None
        for old in self._fences()[:-1]:
            self._path(old).unlink(missing_ok=True)
        return Seen(fence, record, parse_record(record))

    def rewrite(self, mine: Seen, record: bytes) -> Seen | None:
        """See `Seat.rewrite`."""
        newest = self.newest()
        if newest is None or newest.fence != mine.fence:
            return None
        try:
            self._replace(self._path(mine.fence), record)
        except FileNotFoundError:  # a holder with a higher fence removed it
            return None
        return Seen(mine.fence, record, parse_record(record))

    def forget(self, fence: int) -> None:
        """Leave nothing of a lease that was released and that nobody needs, where nobody else has
        taken it since."""
        self._path(fence).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _begin(self, path: Path, record: bytes) -> bool:
        """Be the first to make a file; a half one would keep everybody waiting."""
        with explaining_full_disk(path, len(record)):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                file = path.open("xb")
            except (FileExistsError, FileNotFoundError):  # or forgotten just now
                return False
            try:
                with file:
                    file.write(record)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        return True

    def _replace(self, path: Path, record: bytes) -> None:
        """A holder must be able to show that it lives, or that it ended, on a full disk too: the
        file is as large as it has to be."""
        try:
            write_atomic(path, record, durable=False)
        except DiskFullError:
            with path.open("r+b") as file:
                file.write(record)
                file.truncate()

    def _fences(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        matches = (_FENCE_FILE.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def _path(self, fence: int) -> Path:
        return self._folder / f"{fence:06d}.json"
