"""What a disk holds after a power failure: that of which somebody waited until it was there.

Killing a process never loses what the system has in memory, so the calls of `os.fsync` are listened
to. Of a file counts what it held at its last one, of a folder which names it had. What libraries
write without Python (Arrow, safetensors) is there only once we have asked for it, as on a disk.
"""

import os
import stat
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.changes import done_apart

END = "end"  # of the work: what it has said to be there must stay
SYNCED_ONLY, NAMES_TOO = "synced only", "names too"


@dataclass
class Disk:
    """Listens to what becomes durable below a folder, and can say what else would be lost.

    Attributes:
        root: absolute; all that it holds at the beginning is durable.
        place: where the remains go, outside of `root`.
        moments: the remains of which moments are wanted: numbers of calls of `os.fsync`, from 0.
    """

    root: Path
    place: Path
    moments: Collection[int] = ()
    num_calls: int = 0
    _files: dict[int, bytes | Path] = field(default_factory=dict)
    _folders: dict[int, dict[str, int]] = field(default_factory=dict)
    _held: dict[int, int] = field(default_factory=dict)  # so that no other gets an inode's number
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        kept = self.place / "kept"  # what is there at the beginning is never written to
        kept.mkdir(parents=True)
        for path in (self.root, *self.root.rglob("*")):
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode):
                self._folders[status.st_ino] = inodes_in(path)
            elif stat.S_ISREG(status.st_mode):
                self._files[status.st_ino] = kept / str(status.st_ino)
                (kept / str(status.st_ino)).hardlink_to(path)

    def during(self, work: Callable[[], object]) -> dict[str, Path]:
        """Do the work, in a process of its own, and count its calls of `os.fsync`.

        Returns:
            What remains of it at each moment and at its end, by both, as in ``end, names too``.
        """

        def listened_to() -> None:
            os.fsync = self._fsync
            work()
            self._leave(END)
            (self.place / "num-calls").write_text(str(self.num_calls))

        assert done_apart(listened_to) == 0
        self.num_calls = int((self.place / "num-calls").read_text())
        return {path.name: path for path in sorted(self.place.glob("*, *"))}

    def _fsync(self, file: int) -> None:
        """In place of the system's, which would take its time."""
        with self._lock:
            if self.num_calls in self.moments:
                self._leave(str(self.num_calls))
            self.num_calls += 1
            self._note(file)

    def _note(self, file: int) -> None:
        status, path = os.fstat(file), Path(f"/proc/self/fd/{file}")
        self._held.setdefault(status.st_ino, os.dup(file))
        if stat.S_ISDIR(status.st_mode):
            self._folders[status.st_ino] = inodes_in(path)
        else:
            self._files[status.st_ino] = path.read_bytes()

    def _leave(self, name: str) -> None:
        """Lay out what remains of this moment: where a system writes no name by itself, and where
        it writes all of them and no content, as some do."""
        self._lay_out(self.root.stat().st_ino, self.place / f"{name}, {SYNCED_ONLY}")
        self._copy(self.root, self.place / f"{name}, {NAMES_TOO}")

    def _lay_out(self, inode: int, target: Path) -> None:
        if inode in self._files:
            self._put(self._files[inode], target)
        elif inode in self._folders:
            target.mkdir()
            for name, each in self._folders[inode].items():
                self._lay_out(each, target / name)

    def _copy(self, path: Path, target: Path) -> None:
        status = path.lstat()
        if stat.S_ISDIR(status.st_mode):
            target.mkdir()
            for each in path.iterdir():
                self._copy(each, target / each.name)
        elif stat.S_ISREG(status.st_mode):
            self._put(self._files.get(status.st_ino, bytes(status.st_size)), target)

    def _put(self, content: bytes | Path, target: Path) -> None:
        if isinstance(content, Path):
            target.hardlink_to(content)
        else:
            target.write_bytes(content)


def inodes_in(folder: Path) -> dict[str, int]:
    """The names in a folder, each with the number of what it stands for."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.inode() for entry in entries}
