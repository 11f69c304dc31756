"""Ended from outside, or not allowed to write: a line, and nothing half."""

import os
import random
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName
from model.errors import RequestError
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.faults.changes import changes_of, done_apart, ended_at
from tests.faults.outcomes import Work, as_command, committed, line_in
from tests.faults.stages import changes_in_staging, downstream_of, run_stage, store_of, without
from tests.faults.table import Table

NUM_PLACES = 6  # of each stage
NUM_STORMS = 2  # of each stage
NUM_LAST = 16  # changes after all is sealed
MANIFEST = re.compile(r"os\.rename staging/\S+/MANIFEST\.json")
NOBODY = 65534


def terminate_self() -> None:
    """What a scheduler does first."""
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_sigterm_ends_a_stage_in_time_and_the_next_run_goes_on(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    expected = committed(whole, stage)
    own = changes_in_staging(stage, whole, corpus, tmp_path / "recorded")
    places = random.Random(0).sample(own, min(NUM_PLACES, len(own)))
    assert places
    slowest_s = 0.0
    for name in places:
        folder = without(whole, tmp_path / "work", downstream_of(stage))
        work, said = partial(run_stage, stage, corpus, folder), tmp_path / "said"
        told_at = tmp_path / "told"
        ended = ended_at(name, folder, as_command(work, said), partial(tell_and_end, told_at))
        slowest_s = max(slowest_s, time.monotonic() - float(told_at.read_text()))
        assert ended.status == 143, name
        assert line_in(said).startswith("stopped by SIGTERM: run the same command again")
        assert committed(folder, stage) in ([], expected), name
        assert done_apart(work) == 0, name
        assert committed(folder, stage) == expected, name
        shutil.rmtree(folder)
    assert slowest_s < 10
    happened = f"143 within {slowest_s:.1f} s; the same content after"
    table.add(f"SIGTERM at {len(places)} places", stage, happened)


def tell_and_end(told_at: Path) -> None:
    told_at.write_text(str(time.monotonic()))
    terminate_self()


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", ["vocab", "export"])
def test_sigterm_while_it_publishes(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    """It is published or it is not, and the next run finds what was sealed."""
    expected = committed(whole, stage)
    recorded = without(whole, tmp_path / "recorded", downstream_of(stage))
    changes = changes_of(recorded, partial(run_stage, stage, corpus, recorded))
    sealed = max(place for place, name in enumerate(changes) if MANIFEST.fullmatch(name))
    assert f"os.rename artifacts/{stage}/ID" in changes[sealed:]
    for place in range(sealed + 1, min(len(changes), sealed + 1 + NUM_LAST)):
        name = changes[place]
        folder = without(whole, tmp_path / "work", downstream_of(stage))
        work, said = partial(run_stage, stage, corpus, folder), tmp_path / "said"
        turn = changes[: place + 1].count(name)
        deed = (terminate_self, terminate_again_and_again)[place % 2]
        assert ended_at(name, folder, as_command(work, said), deed, turn=turn).status == 143, name
        assert line_in(said).startswith("stopped by SIGTERM"), name
        assert committed(folder, stage) in ([], expected), name
        again = changes_of(folder, work)
        assert not [each for each in again if MANIFEST.fullmatch(each)], "it was sealed already"
        assert committed(folder, stage) == expected, name
        shutil.rmtree(folder)
    table.add("SIGTERM, once and often, while it publishes", stage, "all or nothing")


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_sigterm_again_and_again_is_as_good_as_one(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    """Schedulers and people repeat themselves; what is being cleared away must not end half."""
    expected = committed(whole, stage)
    own = changes_in_staging(stage, whole, corpus, tmp_path / "recorded")
    for name in random.Random(1).sample(own, NUM_STORMS):
        folder = without(whole, tmp_path / "work", downstream_of(stage))
        work, said = partial(run_stage, stage, corpus, folder), tmp_path / "said"
        ended = ended_at(name, folder, as_command(work, said), terminate_again_and_again)
        assert ended.status == 143, name
        assert line_in(said).startswith("stopped by SIGTERM"), name
        assert not store_of(folder).is_at_work(stage), name
        assert done_apart(work) == 0, name
        assert committed(folder, stage) == expected, name
        shutil.rmtree(folder)
    table.add(f"SIGTERM hundreds of times at {NUM_STORMS} places", stage, "as one; the lease free")


def terminate_again_and_again() -> None:
    """Until the process has ended."""

    def storm() -> None:
        while True:
            time.sleep(0.0005)
            terminate_self()

    threading.Thread(target=storm, daemon=True).start()
    terminate_self()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that every user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder).resolve()


def as_nobody(work: Work) -> None:
    """The work, in a process of its own, as a user who owns nothing."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    work()


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@needs_root
@pytest.mark.parametrize("place", ["", "artifacts", "staging/vocab", "artifacts/vocab", "leases"])
def test_a_folder_that_is_not_ours_is_refused_before_any_work(
    open_folder: Path, tmp_path: Path, place: str
) -> None:
    workspace = Workspace.open(open_folder / "workspace")
    workspace.prepare_stage("vocab")
    for path in (workspace.path, *workspace.path.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.chown(workspace.path / place, 0, 0)
    said = tmp_path / "said"
    work = partial(as_nobody, lambda: Workspace.open(workspace.path).prepare_stage("vocab"))
    assert done_apart(as_command(work, said)) == 2
    line = line_in(said)
    assert f"cannot be written to (Permission denied at {workspace.path / place}" in line


@needs_root
@pytest.mark.faults
def test_another_user_can_read_everything(whole: Path, open_folder: Path, table: Table) -> None:
    """Analysts read what the nightly run has made."""
    place = shutil.copytree(whole, open_folder / "workspace", symlinks=True)
    assert done_apart(partial(as_nobody, partial(verify, place))) == 0
    table.add("a workspace of another user", "all stages", "read and verified")


def verify(workspace: Path) -> None:
    assert Store(Workspace.open_existing(workspace)).verify_all() == []


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir():
        pytest.skip(f"needs a second file system: there is no {elsewhere}")
    if elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip(f"needs a second file system: {tmp_path} is on that of {elsewhere}")
    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        yield Path(folder)


@pytest.mark.parametrize("place", ["artifacts", "staging", "quarantine"])
@pytest.mark.parametrize("stage", ["", "vocab"])
def test_a_folder_on_another_disk_is_refused_before_any_work(
    tmp_path: Path, other_disk: Path, place: str, stage: str
) -> None:
    """A rename between disks is a copy, which a crash can leave half."""
    linked = tmp_path / place / stage
    linked.parent.mkdir(exist_ok=True)
    linked.symlink_to(other_disk)
    with pytest.raises(RequestError, match="different disks"):
        Workspace.open(tmp_path).prepare_stage("vocab")
    assert not list(other_disk.iterdir())
