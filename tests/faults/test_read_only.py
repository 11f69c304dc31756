"""A disk that is read-only, from the start or from the middle on: said, and nothing half."""

import errno
import random
import shutil
from functools import partial
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.faults.changes import changes_of, done_apart, ended_at
from tests.faults.outcomes import as_command, committed, line_in
from tests.faults.small_disk import copied, let_write, mount
from tests.faults.stages import downstream_of, run_stage, without
from tests.faults.table import Table
from tests.tasks.store.making import identity_of, make

NUM_PLACES = 3  # of each stage
DISK_BYTES = 64 * 2**20


def test_a_workspace_on_a_read_only_disk_is_read_and_refused_for_writing(
    disk: Path, tmp_path: Path
) -> None:
    said = tmp_path / "said"

    def try_it() -> None:
        mount(disk, 2**20)
        workspace = Workspace.open(disk / "workspace")
        made = make(Store(workspace), identity_of(k=1))
        let_write(disk, allowed=False)
        reader = Store(Workspace.open_existing(workspace.path))
        assert reader.verify_all() == []
        assert reader.find(identity_of(k=1), {}) == made
        assert done_apart(as_command(lambda: Workspace.open(workspace.path), said)) == 2

    assert done_apart(try_it) == 0
    assert "cannot be written to (Read-only file system at" in line_in(said)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_a_disk_that_becomes_read_only_while_a_stage_works(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, disk: Path, table: Table
) -> None:
    """Linux does that to a disk with errors."""
    expected = committed(whole, stage)
    source = without(whole, tmp_path / "source", downstream_of(stage))
    recorded = without(source, tmp_path / "recorded", set())
    changes = changes_of(recorded, partial(run_stage, stage, corpus, recorded))
    own = sorted({name for name in changes if f" staging/{stage}/" in name})
    places = random.Random(stage).sample(own, min(NUM_PLACES, len(own)))
    said = tmp_path / "said"

    def try_all() -> None:
        mount(disk, DISK_BYTES)
        for place in places:
            folder = copied(source, disk)
            work = partial(run_stage, stage, corpus, folder)
            ended = ended_at(place, folder, as_command(work, said), partial(stop_writes, disk))
            let_write(disk, allowed=True)
            assert committed(folder, stage) in ([], expected), place
            if ended.status:
                assert_told(line_in(said), ended.status, place)
            assert done_apart(work) == 0
            assert committed(folder, stage) == expected, place
            shutil.rmtree(folder)

    assert done_apart(try_all) == 0
    table.add(
        f"read-only from {len(places)} places on", stage, "said where, finished once writable"
    )


def assert_told(line: str, status: int, place: str) -> None:
    """That it cannot write there: a wrong request before the work, something to mend in it."""
    assert "Read-only file system" in line, place
    if ".probe-" in place:
        assert status == 2, place
    else:
        assert status == 1, place
        assert "run the same command again" in line, place


def stop_writes(disk: Path) -> None:
    """Unless a file is open for writing, which the system lets nobody take away."""
    try:
        let_write(disk, allowed=False)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
