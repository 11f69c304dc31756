"""One process at a time works on a request; the dead are taken over at once, the silent later."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model.errors import ArtifactError
from tasks.store.errors import LeaseLostError
from tasks.store.lease import Lease, Pace, hold_lease, is_held, try_lease
from tasks.store.lease_files import FolderSeat
from tasks.store.owner import Owner, is_known_dead, this_process
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.tasks.store.making import Listener, identity_of, make

IDENTITY = identity_of(k=1)
QUICK = Pace(beat_s=0.05, patience_s=0.6)
PATIENT = Pace(60, 0.6)

WORKER = """
import sys, time
from tasks.store.lease import Pace
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.tasks.store.making import identity_of
identity = identity_of(k=1)
store = Store(Workspace.open(sys.argv[1]), pace=Pace(beat_s=0.05, patience_s=0.6))
with store.lease("vocab", identity.input_id) as lease, store.staging(lease) as staging:
    (staging.folder / "finished").write_bytes(b"by the first")
    late = (staging.folder / "open").open("wb", buffering=0)
    late.write(b"half")
    print("at work", flush=True)
    sys.stdin.readline()
    late.write(b" and too late")
    print(staging.commit(identity, {}, {}).ref.content_id, flush=True)
"""


@contextmanager
def worker(store: Store, script: str = WORKER) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lease, has begun, and goes on when it is sent a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(store.workspace.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == "at work\n", process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def folder_of(store: Store) -> Path:
    return store.workspace.leases / "vocab" / IDENTITY.input_id


def test_a_killed_process_is_taken_over_at_once_with_what_it_finished(store: Store) -> None:
    with worker(store) as process:
        process.kill()  # and not waited for: it stays a zombie meanwhile
        started = time.monotonic()
        with store.lease("vocab", IDENTITY.input_id) as lease:  # patience is a minute here
            assert time.monotonic() - started < 10
            assert lease.fence == 2
            assert not lease.cut_off
            with store.staging(lease) as staging:
                assert (staging.folder / "finished").read_bytes() == b"by the first"
                (staging.folder / "open").unlink()
                artifact = staging.commit(IDENTITY, {}, {})
    assert store.find(IDENTITY, {}) == artifact


def test_a_live_process_is_waited_for_and_named(store: Store) -> None:
    said = Listener()
    waiting = Store(store.workspace, say=said, pace=QUICK)
    with worker(store) as process:
        assert process.stdin
        release = threading.Timer(1.5, lambda: print("", file=process.stdin, flush=True))
        release.start()
        started = time.monotonic()
        with waiting.lease("vocab", IDENTITY.input_id) as lease:
            assert time.monotonic() - started > 1.2  # twice its patience: heartbeats came
            assert lease.fence == 2
            found = waiting.find(IDENTITY, {})
        assert process.wait() == 0
        assert process.stdout
        assert found
        assert process.stdout.read().strip() == found.ref.content_id
    assert len(said) == 1
    assert f"waiting for process {process.pid} on" in said[0]


def test_a_paused_process_is_taken_over_and_can_do_no_harm_when_it_wakes(store: Store) -> None:
    waiting = Store(store.workspace, pace=QUICK)
    with worker(store) as process:
        assert process.stdin
        os.kill(process.pid, signal.SIGSTOP)
        with waiting.lease("vocab", IDENTITY.input_id) as lease, waiting.staging(lease) as staging:
            assert lease.cut_off
            os.kill(process.pid, signal.SIGCONT)
            _, error = process.communicate("\n")
            assert process.returncode != 0
            assert "LeaseLostError" in error
            assert (staging.folder / "open").read_bytes() == b"half"
            artifact = staging.commit(IDENTITY, {}, {})
    assert store.verify_all() == []
    assert store.find(IDENTITY, {}) == artifact


RACER = """
import sys
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.tasks.store.making import identity_of, make
print("at work", flush=True)
sys.stdin.readline()
store = Store(Workspace.open(sys.argv[1]))
for k in range(15):
    print(make(store, identity_of(k=k)).ref.content_id)
"""


def test_two_processes_on_the_same_requests_make_each_once_and_agree(store: Store) -> None:
    with worker(store, RACER) as first, worker(store, RACER) as second:
        for process in (first, second):
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        (mine, my_error), (theirs, their_error) = first.communicate(), second.communicate()
    assert (my_error, their_error) == ("", "")
    assert mine == theirs
    assert len(mine.splitlines()) == 15
    assert len(list(store.artifacts())) == 15
    assert store.verify_all() == []
    assert not list(store.workspace.quarantine.iterdir())


def test_threads_of_one_process_take_turns(store: Store) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        with store.lease("vocab", IDENTITY.input_id):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5
    newest = FolderSeat(folder_of(store)).newest()
    assert newest
    assert newest.fence == 5
    assert len(list(folder_of(store).iterdir())) == 1


def seen_by_a_stranger(folder: Path, *, fence: int = 4, beat: int = 0) -> Path:
    """A lease of a process on another machine, of which nothing is known."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = Owner(machine="elsewhere/boot/pid", pid=1, started="1")
    path = folder / f"{fence:06d}.json"
    record = {"owner": owner.model_dump(), "attempt_id": "000004-x", "beat": beat}
    path.write_text(json.dumps(record))
    return path


def test_a_stranger_is_waited_for_as_long_as_it_beats_and_not_by_the_wall_clock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(store)
    path = seen_by_a_stranger(folder)
    os.utime(path, (0, 0))  # its clock, or ours, may be wrong by years
    now_s, looks = 1_000.0, 0

    def sleep(seconds: float) -> None:
        nonlocal now_s, looks
        now_s, looks = now_s + 0.4, looks + 1
        if looks in (2, 4, 6):  # each beat comes just before the patience ends
            seen_by_a_stranger(folder, beat=looks)

    monkeypatch.setattr("tasks.store.lease.time.sleep", sleep)
    monkeypatch.setattr("tasks.store.lease.time.monotonic", lambda: now_s)
    with hold_lease(FolderSeat(folder), "vocab", "x", pace=PATIENT, say=Listener()) as lease:
        waited_s = now_s - 1_000
    assert lease.fence == 5
    assert lease.cut_off
    assert waited_s == pytest.approx(8 * 0.4)  # the last beat is at six looks, then its patience


def test_an_unreadable_lease_is_a_strangers(tmp_path: Path) -> None:
    seen_by_a_stranger(tmp_path).write_text("{")
    assert is_held(FolderSeat(tmp_path).newest())
    assert try_lease(FolderSeat(tmp_path), "vocab", "x") is None


def test_who_looked_long_ago_does_not_get_it(tmp_path: Path) -> None:
    seen_by_a_stranger(tmp_path, fence=4)
    old = FolderSeat(tmp_path).newest()
    (tmp_path / "000004.json").unlink()
    seen_by_a_stranger(tmp_path, fence=7)
    assert FolderSeat(tmp_path).claim(old, 5, b"{}") is None
    assert [path.name for path in tmp_path.iterdir()] == ["000007.json"]


def test_a_holder_that_lost_it_finds_out_and_leaves_the_other_alone(tmp_path: Path) -> None:
    lease = try_lease(FolderSeat(tmp_path), "vocab", "x")
    assert lease
    lease.check()
    before = seen_by_a_stranger(tmp_path).read_bytes()
    with pytest.raises(LeaseLostError, match="vocab/x"):
        lease.check()
    lease.release()
    assert (tmp_path / "000004.json").read_bytes() == before


def test_released_it_is_free_and_the_fence_goes_on(tmp_path: Path) -> None:
    def fence() -> int:
        lease: Lease | None = try_lease(FolderSeat(tmp_path), "vocab", "x")
        assert lease
        assert try_lease(FolderSeat(tmp_path), "vocab", "x") is None
        lease.release()
        return lease.fence

    assert [fence(), fence(), fence()] == [1, 2, 3]


def test_only_a_process_known_to_be_gone_is_dead() -> None:
    me = this_process()
    assert not is_known_dead(me)
    assert is_known_dead(me.model_copy(update={"started": "1"})), "its number was used again"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert is_known_dead(me.model_copy(update={"pid": gone.pid}))
    assert not is_known_dead(me.model_copy(update={"machine": "elsewhere", "pid": gone.pid}))


def test_the_holder_cannot_commit_what_another_took_over(store: Store) -> None:
    with store.lease("vocab", IDENTITY.input_id) as lease, store.staging(lease) as staging:
        (staging.folder / "a").write_bytes(b"1")
        seen_by_a_stranger(folder_of(store), fence=lease.fence + 1)
        with pytest.raises(LeaseLostError):
            staging.commit(IDENTITY, {}, {})
    assert store.find(IDENTITY, {}) is None


@pytest.mark.parametrize("error", [FileNotFoundError, ArtifactError, ValueError])
def test_a_moved_staging_folder_is_told_as_a_lost_lease(
    store: Store, error: type[Exception]
) -> None:
    """Whatever the stage, or a library, makes of a file that it had written and is not there."""

    def work() -> None:
        with store.lease("vocab", IDENTITY.input_id) as lease, store.staging(lease) as staging:
            staging.folder.rename(staging.folder.with_name("taken"))
            seen_by_a_stranger(folder_of(store), fence=lease.fence + 1)
            raise error

    with pytest.raises(LeaseLostError):
        work()


def test_of_a_lease_that_nobody_took_the_stage_s_own_error_is_told(store: Store) -> None:
    def work() -> None:
        with store.lease("vocab", IDENTITY.input_id) as lease, store.staging(lease) as staging:
            staging.folder.rename(staging.folder.with_name("moved"))
            raise ArtifactError("a is not there")

    with pytest.raises(ArtifactError, match="a is not there"):
        work()


def test_the_next_run_reuses_what_the_lease_waited_for(store: Store) -> None:
    artifact = make(store, IDENTITY)
    assert make(Store(Workspace.open(store.workspace.path)), IDENTITY) == artifact
