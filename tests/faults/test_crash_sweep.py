"""Killed before any change of the disk that any stage makes, a chain ends as if it had not been."""

import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName
from tests.faults.changes import changes_of, ended_at
from tests.faults.outcomes import committed
from tests.faults.stages import downstream_of, run_stage, store_of, without
from tests.faults.table import Table

# The change with which a part of a stage's work is done, of which there are many, one after the
# other: what is done when it is killed is not done again.
PART_IS_DONE: dict[StageName, str] = {
    "ingest": r"os\.rename staging/.*/scratch/ID/done\.json",
    "vocab": r"os\.rename staging/.*/scratch/counts/shard-\d+\.json",
    "tokenize": r"os\.rename staging/.*/scratch/\d+\.json",
    "pretrain": r"os\.rename staging/.*/checkpoints/step-\d+",
    "tune": r"os\.rename staging/.*/checkpoints/step-\d+",
    "export": r"os\.rename staging/.*/part-\d+\.parquet",
}

_HEARTBEAT = re.compile(r"open leases/.*\.part|os\.rename leases/.*")


@pytest.mark.faults
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_a_stage_killed_anywhere_is_finished_by_the_next_run(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    [unbroken] = store_of(whole).artifacts(stage)
    recorded = without(whole, tmp_path / "recorded", downstream_of(stage))
    changes = changes_of(recorded, partial(run_stage, stage, corpus, recorded))
    num_parts, num_done, num_kept = parts_in(stage, changes), 0, 0
    points = list(points_of(changes))
    assert len(points) >= 10
    for number, (name, turn) in enumerate(points):
        folder = without(whole, tmp_path / str(number), downstream_of(stage))
        work = partial(run_stage, stage, corpus, folder)
        killed = ended_at(name, folder, work, turn=turn)
        assert killed.status == -signal.SIGKILL, name
        assert committed(folder, stage) in ([], [unbroken.ref.content_id]), name
        num_done += parts_in(stage, killed.changes)
        num_kept += num_parts - parts_in(stage, changes_of(folder, work))
        assert committed(folder, stage) == [unbroken.ref.content_id], name
        assert not [path for path in (folder / "staging").rglob("*") if path.is_file()], name
        shutil.rmtree(folder)
    parts = f"; {num_kept} of {num_done} finished parts kept" if num_parts else ""
    table.add(f"SIGKILL at {len(points)} places", stage, f"the same content each time{parts}")
    if stage in PART_IS_DONE:
        assert num_parts >= 4
        assert num_kept >= 0.9 * num_done > 0


def parts_in(stage: StageName, changes: list[str]) -> int:
    """How many parts of the stage's work are done with these changes."""
    pattern = PART_IS_DONE.get(stage)
    return sum(bool(re.fullmatch(pattern, name)) for name in changes) if pattern else 0


def points_of(changes: list[str]) -> Iterator[tuple[str, int]]:
    """Where to kill, by name and turn: of changes that are alike the first, the middle one and the
    last; see `_kind`. Heartbeats, which come by the clock, are left out.
    """
    seen: Counter[str] = Counter()
    alike: dict[str, list[tuple[str, int]]] = {}
    for name in changes:
        seen[name] += 1
        if not _HEARTBEAT.fullmatch(name):
            alike.setdefault(_kind(name), []).append((name, seen[name]))
    for places in alike.values():
        yield from dict.fromkeys((places[0], places[len(places) // 2], places[-1]))


def _kind(name: str) -> str:
    """What changes have in common that are alike: the same is done to files of one kind in folders
    of one kind, which the stage's own folder does not count as: plots, or files of checkpoints."""
    if name.startswith("os.chmod staging") and not name.endswith("/MANIFEST.json"):
        return "sealed"  # on several threads, each file in the same way
    kind = re.sub(r"\d+", "N", name)
    return re.sub(r"(staging/\w+/ID/ID/.+/)[^/]+(\.\w+)", r"\1*\2", kind)
