"""After a power failure at any moment what is committed is whole, and what is not is not there."""

import random
from functools import partial
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName
from tasks.release.pointer import current
from tasks.store.lease import Pace
from tasks.store.workspace import Workspace
from tests.faults.changes import done_apart
from tests.faults.outcomes import committed
from tests.faults.power import END, NAMES_TOO, SYNCED_ONLY, Disk
from tests.faults.stages import downstream_of, run_stage, without
from tests.faults.table import Table
from tests.tasks.release.pairs import is_whole, pair_of, published
from tests.tasks.store.making import identity_of, make, new_store

NUM_LAST, NUM_OTHERS = 8, 6  # moments of each stage: around its commit, and while it works
NUM_AGAIN = 3  # of the remains, those on which it is run again
QUICK = Pace(beat_s=5.0, patience_s=0.4)  # for leases that are not to be read any more


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_what_a_power_failure_leaves_is_whole_or_not_there(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    expected = committed(whole, stage)
    chance = random.Random(stage)
    work = partial(run_stage, stage, corpus, pace=QUICK)
    counted = Disk(workspace(stage, whole, tmp_path / "counted"), tmp_path / "of the counted")
    counted.during(partial(work, counted.root))
    last = counted.num_calls - NUM_LAST
    moments = {*chance.sample(range(last), NUM_OTHERS), *range(last, counted.num_calls)}
    disk = Disk(workspace(stage, whole, tmp_path / "work"), tmp_path / "remains", moments)
    remains = disk.during(partial(work, disk.root))
    found = {name: committed(path, stage) for name, path in remains.items()}
    assert all(each in ([], expected) for each in found.values())
    assert [found[f"{END}, {kind}"] for kind in (SYNCED_ONLY, NAMES_TOO)] == [expected] * 2
    unfinished = [name for name in remains if not found[name]]
    for name in chance.sample(unfinished, min(NUM_AGAIN, len(unfinished))):
        assert done_apart(partial(work, remains[name])) == 0, name
        assert committed(remains[name], stage) == expected, name
    table.add(
        f"power lost at {len(moments)} moments and the end", stage, "whole or absent; made again"
    )


def workspace(stage: StageName, whole: Path, folder: Path) -> Path:
    return without(whole, folder, downstream_of(stage))


@pytest.mark.faults
def test_a_workspace_that_is_new_is_there_with_its_first_artifact(
    whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    remains = Disk(home, tmp_path / "remains").during(
        partial(run_stage, "ingest", corpus, home / "below" / "workspace")
    )
    place = remains[f"{END}, {SYNCED_ONLY}"] / "below" / "workspace"
    assert committed(place, "ingest") == committed(whole, "ingest")
    table.add("power lost after the first commit", "a new workspace", "there, with its artifact")


@pytest.mark.faults
def test_of_training_one_checkpoint_is_lost_at_most(
    tokens: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    """Days of work would else hang on when a system writes the names of new folders."""
    disk = Disk(without(tokens, tmp_path / "work", set()), tmp_path / "remains", range(0, 400, 7))
    remains = disk.during(partial(run_stage, "pretrain", corpus, disk.root))
    steps = {name: set(map(str, checkpoints(path))) for name, path in remains.items()}
    num_seen = 0
    for name, found in steps.items():
        moment, kind = name.split(", ")
        if kind == NAMES_TOO:
            num_seen = max(num_seen, len(found))
            assert len(steps[f"{moment}, {SYNCED_ONLY}"]) >= len(found) - 1, moment
    assert num_seen >= 4
    table.add("power lost while it trains", "pretrain", "at most the newest checkpoint is lost")


def checkpoints(workspace: Path) -> list[Path]:
    return [
        path.relative_to(workspace)
        for path in workspace.glob("staging/pretrain/*/*/checkpoints/step-*")
        if any(path.iterdir())
    ]


def test_a_release_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    store = new_store(tmp_path / "home")
    corpus = make(store, identity_of("ingest"))
    old, new = (pair_of(store, corpus, k) for k in range(2))
    published(store.workspace, old)
    disk = Disk(store.workspace.path, tmp_path / "remains", range(50))
    remains = disk.during(partial(published, store.workspace, new))
    assert 4 <= disk.num_calls < 50
    ids = {}
    for name, path in remains.items():
        found = current(Workspace.open_existing(path))
        assert found
        assert is_whole(Workspace.open_existing(path), found)
        ids[name] = found.id
    assert ids[f"0, {SYNCED_ONLY}"] == 1
    assert ids[f"{END}, {SYNCED_ONLY}"] == ids[f"{END}, {NAMES_TOO}"] == 2
