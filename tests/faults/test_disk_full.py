"""On a full disk nothing is committed, the error says where and how much, and the rest is kept."""

import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName
from tasks.execute import Outcome, execute
from tasks.settings import StageConfig
from tasks.stage import Stage, StageContext, map_in_order
from tasks.store.errors import DiskFullError
from tasks.store.lease import is_held, try_lease
from tasks.store.lease_files import FolderSeat
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.faults.changes import Deed, changes_of, done_apart, ended_at
from tests.faults.outcomes import Work, as_command, committed, line_in
from tests.faults.small_disk import BALLAST, copied, fill, mount, refuse_new_files
from tests.faults.stages import downstream_of, run_stage, store_of, without
from tests.faults.table import Table
from tests.tasks.chain import Listener

NUM_PLACES = 6  # of each stage, and of each way to fill the disk
DISK_BYTES = 64 * 2**20
SAYS = re.compile(
    r"(the disk is full at /\S+: "
    r"((more than the )?[\d,]+ bytes (that were expected )?are|more is) needed|"
    r"not enough room at /\S+: about [\d,]+ bytes more are needed), [\d,]+ bytes are free.*"
)
# What may be finished when the disk is full, and then stands in the artifact as it was.
FINISHED: dict[StageName, str] = {
    "pretrain": "checkpoints/step-*/*",
    "tune": "checkpoints/step-*/*",
    "export": "part-*.parquet",
}


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_a_disk_that_another_program_fills_while_a_stage_works(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, disk: Path, table: Table
) -> None:
    source = without(whole, tmp_path / "source", downstream_of(stage))
    places, expected = recorded(stage, whole, corpus, tmp_path)

    def try_all() -> None:
        mount(disk, DISK_BYTES)
        num_full = 0
        for place in places:
            folder = copied(source, disk)
            work = partial(run_stage, stage, corpus, folder)
            ended = ended_for_want_of_room(place, folder, work, partial(fill, disk))
            num_full += ended
            assert committed(folder, stage) == ([] if ended else expected), place
            (disk / BALLAST).unlink()
            finish(stage, folder, work)
            assert committed(folder, stage) == expected, place
            shutil.rmtree(folder)
        assert num_full > len(places) / 2

    assert done_apart(try_all) == 0
    table.add(f"disk filled at {len(places)} places", stage, "said where, finished with room")


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_a_disk_on_which_nothing_can_be_made(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    """Where disks cannot be mounted; and names need room too."""
    places, expected = recorded(stage, whole, corpus, tmp_path)
    for number, place in enumerate(places):
        folder = without(whole, tmp_path / str(number), downstream_of(stage))
        work = partial(run_stage, stage, corpus, folder)
        assert ended_for_want_of_room(place, folder, work, partial(refuse_new_files, folder))
        assert committed(folder, stage) == [], place
        finish(stage, folder, work)
        assert committed(folder, stage) == expected, place
        shutil.rmtree(folder)
    table.add(f"no new file from {len(places)} places on", stage, "said where, finished with room")


def recorded(
    stage: StageName, whole: Path, corpus: Path, folder: Path
) -> tuple[list[tuple[str, int]], list[str]]:
    """Some of the changes that the stage makes, by name and turn; and what it comes to."""
    workspace = without(whole, folder / "recorded", downstream_of(stage))
    changes = changes_of(workspace, partial(run_stage, stage, corpus, workspace))
    seen: Counter[str] = Counter()
    turns = []
    for name in changes:
        seen[name] += 1
        if f" staging/{stage}/" in name and name.startswith(("open", "os.mkdir", "os.rename")):
            turns.append((name, seen[name]))
    assert turns
    chosen = random.Random(0).sample(range(len(turns)), min(NUM_PLACES, len(turns)))
    return [turns[place] for place in sorted(chosen)], committed(workspace, stage)


def ended_for_want_of_room(place: tuple[str, int], folder: Path, work: Work, fill_up: Deed) -> bool:
    """Whether the work failed when the disk was filled there; it must say so."""
    name, turn = place
    with tempfile.TemporaryDirectory() as elsewhere:
        said = Path(elsewhere, "said")
        ended = ended_at(name, folder, as_command(work, said), fill_up, turn=turn)
        if ended.status == 0:
            return False
        assert ended.status == 1, place
        assert SAYS.fullmatch(line_in(said)), (place, line_in(said))
    return True


def finish(stage: StageName, folder: Path, work: Work) -> None:
    """Do the work with room; what was finished without it must not be done again."""
    kept = {}
    if stage in FINISHED:
        kept = {
            path.stat().st_ino: path for path in folder.glob(f"staging/*/*/*/{FINISHED[stage]}")
        }
    assert done_apart(work) == 0
    inodes = {path.stat().st_ino for path in (folder / "artifacts" / stage).rglob("*")}
    assert kept.keys() <= inodes, kept


def hungry(context: StageContext) -> dict[str, float]:
    """A stage that says what it needs."""
    context.need_room(1e15)
    raise AssertionError("it began")


def overfull(context: StageContext) -> dict[str, float]:
    """A stage that does not fit on a small disk, whatever it said."""
    context.need_room(2e5)
    (context.output / "first").write_bytes(bytes(10**5))
    (context.output / "second").write_bytes(bytes(10**7))
    return {}


def silent(context: StageContext) -> dict[str, float]:
    """One that said nothing."""
    (context.output / "second").write_bytes(bytes(10**7))
    return {}


def run_on(workspace: Path, run: Callable[[StageContext], dict[str, float]]) -> Outcome:
    return execute(
        Stage("vocab", 1, (), run),
        StageConfig(),
        {},
        store=store_of(workspace),
        report=Listener(),
        map_shards=map_in_order,
    )


def test_what_cannot_fit_is_not_begun(tmp_path: Path) -> None:
    needs = r"not enough room at .*/staging/vocab/.*: about 1,000,000,000,000,000 bytes more"
    with pytest.raises(DiskFullError, match=needs):
        run_on(tmp_path / "workspace", hungry)


def test_a_full_disk_is_named_and_the_lease_given_up(disk: Path) -> None:
    """Who tries again in the same process would else wait for itself."""

    def try_it() -> None:
        mount(disk, 2**20)
        says = r"full at .*/staging/vocab/.*: more than the 200,000 bytes that were expected are"
        with pytest.raises(DiskFullError, match=says):
            run_on(disk / "workspace", overfull)
        fill(disk)
        started = time.monotonic()
        with pytest.raises(DiskFullError):
            run_on(disk / "workspace", overfull)
        assert time.monotonic() - started < 10
        assert not store_of(disk / "workspace").is_at_work("vocab")

    assert done_apart(try_it) == 0


def test_of_a_stage_that_said_no_need_none_is_told(disk: Path) -> None:
    def try_it() -> None:
        mount(disk, 2**20)
        with pytest.raises(DiskFullError, match=r"full at .*/staging/vocab/.*: more is needed, "):
            run_on(disk / "workspace", silent)

    assert done_apart(try_it) == 0


def test_a_lease_for_which_there_is_no_room_keeps_nobody_waiting(disk: Path) -> None:
    def try_it() -> None:
        mount(disk, 2**20)
        fill(disk)
        seat = FolderSeat(disk / "lease")
        with pytest.raises(DiskFullError, match=r"lease/000001\.json: [\d,]+ bytes are needed"):
            try_lease(seat, "vocab", "0" * 32)
        (disk / BALLAST).unlink()
        assert try_lease(seat, "vocab", "0" * 32)

    assert done_apart(try_it) == 0


def test_a_holder_shows_on_a_full_disk_that_it_lives(disk: Path) -> None:
    def try_it() -> None:
        mount(disk, 2**20)
        seat = FolderSeat(disk / "lease")
        lease = try_lease(seat, "vocab", "0" * 32)
        assert lease
        fill(disk)
        before = seat.newest()
        lease.check()
        after = seat.newest()
        assert before
        assert after
        assert after.record
        assert after.raw != before.raw
        lease.release()
        assert not is_held(seat.newest())

    assert done_apart(try_it) == 0


def test_a_full_disk_can_be_cleared(disk: Path) -> None:
    """What makes room must not need any."""

    def try_it() -> None:
        mount(disk, 2**20)
        with pytest.raises(DiskFullError):
            run_on(disk / "workspace", overfull)
        [left] = (disk / "workspace").glob("staging/vocab/*/*")
        fill(disk)
        shutil.rmtree(disk / "workspace/leases/vocab")  # as if it had been left long ago
        store = Store(Workspace.open_existing(disk / "workspace"))
        [(found, size_bytes)] = store.collect_garbage(dry_run=False, older_than_days=0)
        assert found == left
        assert size_bytes >= 10**5
        assert not left.exists()

    assert done_apart(try_it) == 0
