"""Killed before any change of the disk that any stage makes, a chain ends as if it had not been."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName
from tasks.store.artifact import Artifact
from tasks.store.hashing import sha256_of
from tests.faults.changes import changes_of, done_apart, ended_at
from tests.faults.stages import downstream_of, run_stage, store_of, without
from tests.faults.table import Table

# Files of which a stage writes many, one after the other: what a crash leaves of them is used.
SHARDS: dict[StageName, str] = {
    "ingest": "documents/shard-*.parquet",
    "tokenize": "tokens/*.arrow",
    "pretrain": "checkpoints/step-*/*.safetensors",
    "tune": "checkpoints/step-*/*.safetensors",
    "export": "part-*.parquet",
}
Shards = dict[str, tuple[str, int]]  # by name: the hash, and the inode


@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_a_stage_killed_anywhere_is_finished_by_the_next_run(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    [unbroken] = store_of(whole).artifacts(stage)
    expected = shards_of(unbroken.path, stage)
    points = list(points_of(stage, whole, corpus, tmp_path / "recorded"))
    assert len(points) >= 10
    num_finished = num_kept = 0
    for number, (name, turn) in enumerate(points):
        folder = without(whole, tmp_path / str(number), downstream_of(stage))
        work = partial(run_stage, stage, corpus, folder)
        assert ended_at(name, folder, work, turn=turn) == -9, name
        assert content_ids(folder, stage) in ([], [unbroken.ref.content_id]), name
        finished = staged(folder, stage, expected)
        assert done_apart(work) == 0, name
        assert content_ids(folder, stage) == [unbroken.ref.content_id], name
        assert not [path for path in (folder / "staging").rglob("*") if path.is_file()], name
        after = shards_of(folder / unbroken.path.relative_to(whole), stage)
        num_finished += len(finished)
        num_kept += sum(after[file] == found for file, found in finished.items())
    kept = f"; {num_kept} of {num_finished} finished shards kept" if stage in SHARDS else ""
    table.add(f"SIGKILL at {len(points)} places", stage, f"the same content each time{kept}")
    if stage in SHARDS:
        assert num_finished > 0
        assert num_kept >= 0.9 * num_finished


def points_of(
    stage: StageName, whole: Path, corpus: Path, folder: Path
) -> Iterator[tuple[str, int]]:
    """Where to kill, by name and turn: the first and the last change of each name.

    Left out: heartbeats, which come by the clock; and of the files that are sealed, on several
    threads and each in the same way, all but one.
    """
    without(whole, folder, downstream_of(stage))
    changes = changes_of(folder, partial(run_stage, stage, corpus, folder))
    sealed = [name for name in changes if name.startswith("os.chmod staging")]
    for name, number in Counter(changes).items():
        if name in sealed[1:] or name.startswith(("open leases", "os.rename leases")):
            continue
        yield from {(name, 1), (name, number)}


def content_ids(workspace: Path, stage: StageName) -> list[str]:
    """Of the stage's artifacts that a reader finds, all of them whole."""
    store = store_of(workspace)
    assert not store.verify_all()
    found: list[Artifact] = list(store.artifacts(stage))
    return [artifact.ref.content_id for artifact in found]


def shards_of(folder: Path, stage: StageName) -> Shards:
    """Every shard below a folder."""
    found = folder.glob(SHARDS[stage]) if stage in SHARDS else ()
    return {str(path.relative_to(folder)): (sha256_of(path), path.stat().st_ino) for path in found}


def staged(workspace: Path, stage: StageName, expected: Shards) -> Shards:
    """What the newest attempt left of its shards, as far as they are whole."""
    attempts = sorted((workspace / "staging" / stage).glob("*/*"))
    found = shards_of(attempts[-1], stage) if attempts else {}
    return {file: each for file, each in found.items() if expected[file][0] == each[0]}
