"""A lease that lies in a folder: a row of files ``<fence>.json``, of which the highest counts.

Taking over means being the first to create the next one, which the file system decides. A row
that was forgotten begins again at 1, so a number alone does not say whose it is: the record does.
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
        # where there is none, a holder with a higher fence removed it, or it was forgotten
        return self._seen(fences[-1]) or self.newest()

    def claim(self, before: Seen | None, fence: int, record: bytes) -> Seen | None:
        """See `Seat.claim`."""
        if not _is_same(self.newest(), before) or not self._begin(self._path(fence), record):
            return None
        mine = Seen(fence, record, parse_record(record))
        is_next = before is None or _is_same(self._seen(before.fence), before)
        if not is_next or not _is_same(self.newest(), mine):
            self._remove(mine)  # we looked long ago; the row has moved on, or begun anew
            return None
        for old in self._fences()[:-1]:
            self._path(old).unlink(missing_ok=True)
        return mine

    def rewrite(self, mine: Seen, record: bytes) -> Seen | None:
        """See `Seat.rewrite`."""
        if not _is_same(self.newest(), mine):
            return None
        try:
            self._replace(self._path(mine.fence), record)
        except FileNotFoundError:  # a holder with a higher fence removed it
            return None
        return Seen(mine.fence, record, parse_record(record))

    def forget(self, mine: Seen) -> None:
        """See `Seat.forget`."""
        self._remove(mine)
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _begin(self, path: Path, record: bytes) -> bool:
        """Be the first to make a file; a half one would keep everybody waiting."""
        with explaining_full_disk(path, len(record)):
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                file = path.open("xb")
            except (FileExistsError, FileNotFoundError):  # or the folder was forgotten just now
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
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        matches = (_FENCE_FILE.fullmatch(name) for name in names)
        return sorted(int(match[1]) for match in matches if match)

    def _seen(self, fence: int) -> Seen | None:
        try:
            raw = self._path(fence).read_bytes()
        except FileNotFoundError:
            return None
        return Seen(fence, raw, parse_record(raw))

    def _remove(self, mine: Seen) -> None:
        if _is_same(self._seen(mine.fence), mine):
            self._path(mine.fence).unlink(missing_ok=True)

    def _path(self, fence: int) -> Path:
        return self._folder / f"{fence:06d}.json"


def _is_same(one: Seen | None, other: Seen | None) -> bool:
    """Whether both are of one holder, however often it has beaten in between."""
    if one is None or other is None:
        return one is other
    if one.record is None or other.record is None:
        return (one.fence, one.raw) == (other.fence, other.raw)
    attempts = (one.record.attempt_id, other.record.attempt_id)
    return one.fence == other.fence and attempts[0] == attempts[1]
