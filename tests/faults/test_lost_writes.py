"""A disk that fails to keep what was written to it (EIO): said in a line, and never trusted.

After such an error the system takes the lost pages for clean: they still read well, and the next
`fsync` of the same file succeeds. So what could not be kept must be written anew.
"""

import errno
import os
import random
import shutil
import stat
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName
from tests.faults.changes import done_apart
from tests.faults.outcomes import Work, as_command, committed, lacking, line_in
from tests.faults.stages import downstream_of, run_stage, store_of, without
from tests.faults.table import Table

NUM_FILES, NUM_FOLDERS = 3, 1  # that fail, of each stage


@dataclass
class FailingDisk:
    """Has one call of `os.fsync` fail below a folder, and keeps hold of the file it was about.

    Attributes:
        root: absolute.
        keep: a folder on the same disk; the file lies there as ``lost``, whatever becomes of its
            name, and beside it what was asked for.
        fails: the number of the call, from 0; none where it is negative.
    """

    root: Path
    keep: Path
    fails: int = -1
    seen: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def during(self, work: Work) -> Work:
        """The work, in a process of its own."""
        self.keep.mkdir()
        ask = os.fsync

        def fsync(file: int) -> None:
            path = Path(f"/proc/self/fd/{file}").readlink()
            if path.is_relative_to(self.root):
                is_file = stat.S_ISREG(os.fstat(file).st_mode)
                with self.lock:  # threads wait for the disk, too
                    number = len(self.seen)
                    self.seen.append(f"{path.relative_to(self.root)}{'' if is_file else '/'}")
                    with (self.keep / "asked").open("a") as asked:
                        asked.write(self.seen[-1] + "\n")
                if number == self.fails:
                    if is_file:
                        (self.keep / "lost").hardlink_to(path)
                        (self.keep / "changed").write_text(str(os.fstat(file).st_mtime_ns))
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
            ask(file)

        def run() -> None:
            os.fsync = fsync
            work()

        return run

    def asked(self) -> list[str]:
        """The files and folders that were waited for, in order; folders end in a stroke."""
        return (self.keep / "asked").read_text().splitlines()

    def is_trusted(self, path: Path) -> bool:
        """Whether that is the file that was lost, and nobody has written to it since."""
        lost = self.keep / "lost"
        if not lost.exists() or not os.path.samestat(path.lstat(), lost.lstat()):
            return False
        return path.lstat().st_mtime_ns == int((self.keep / "changed").read_text())


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_what_the_disk_lost_is_written_anew(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    [unbroken] = store_of(whole).artifacts(stage)
    expected = [unbroken.ref.content_id]
    recorded = workspace(stage, whole, tmp_path / "recorded")
    disk = FailingDisk(recorded, tmp_path / "none")
    assert done_apart(disk.during(partial(run_stage, stage, corpus, recorded))) == 0
    places = places_of(disk.asked())
    for number in places:
        folder = workspace(stage, whole, tmp_path / f"work-{number}")
        disk = FailingDisk(folder, tmp_path / str(number), number)
        work, said = partial(run_stage, stage, corpus, folder), tmp_path / "said"
        status = done_apart(as_command(disk.during(work), said))
        name = disk.asked()[number]
        assert status == 1, name
        line = line_in(said)
        place = Path(name).parent if name.count("/") > 1 else Path(name)
        assert str(place) in line, (name, line)  # the file had yet another name, maybe
        assert "the disk" in line, line
        assert committed(folder, stage) in ([], expected), name
        assert done_apart(work) == 0, name
        assert not lacking(folder, unbroken, Path(name)), name
        made = [path for path in folder.glob(f"artifacts/{stage}/*/**/*") if path.is_file()]
        assert not [path for path in made if disk.is_trusted(path)], name
        shutil.rmtree(folder)
    table.add(f"EIO at {len(places)} waits for the disk", stage, "named; written anew")


def places_of(asked: list[str]) -> list[int]:
    """Some calls, by their numbers, for files and for folders."""
    chance = random.Random(0)
    folders = [number for number, name in enumerate(asked) if name.endswith("/")]
    files = sorted({*range(len(asked))} - {*folders})
    return sorted(chance.sample(files, NUM_FILES) + chance.sample(folders, NUM_FOLDERS))


def workspace(stage: StageName, whole: Path, folder: Path) -> Path:
    return without(whole, folder, downstream_of(stage))
