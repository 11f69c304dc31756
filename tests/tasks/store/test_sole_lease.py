"""What one process at a time may do is refused to a second, and taken over from the dead."""

import re
import threading
import time
from pathlib import Path

import pytest

from model.errors import RequestError
from tasks.store.lease import Pace
from tasks.store.owner import this_process
from tasks.store.store import Store
from tests.tasks.store.test_lease import seen_by_a_stranger, worker

HOLDER = """
import sys
from tasks.store.store import Store
from tasks.store.workspace import Workspace
with Store(Workspace.open(sys.argv[1])).sole_lease("refresh"):
    print("at work", flush=True)
    sys.stdin.readline()
"""


def seat_of(store: Store) -> Path:
    return store.workspace.leases / "refresh" / ("0" * 32)


def test_a_second_is_refused_at_once_and_told_who_is_at_it(store: Store) -> None:
    started = time.monotonic()
    with worker(store, HOLDER) as process:
        said = f"refresh: process {process.pid} on .* is at it already"
        with pytest.raises(RequestError, match=said), store.sole_lease("refresh"):
            pass
        with store.sole_lease("something-else"):
            pass
    assert time.monotonic() - started < 30, "the patience of a wait is a minute"


def test_it_is_free_again_after_the_block_and_after_a_kill(store: Store) -> None:
    with store.sole_lease("refresh"):
        assert store.is_at_work("refresh")
        with (
            pytest.raises(RequestError, match=f"process {this_process().pid} "),
            store.sole_lease("refresh"),
        ):
            pass
    with worker(store, HOLDER) as process:
        process.kill()
        process.wait()
        with store.sole_lease("refresh") as lease:
            assert lease.fence == 3


def test_one_on_another_machine_is_refused_for_while_it_beats_and_followed_when_silent(
    store: Store,
) -> None:
    quick = Store(store.workspace, pace=Pace(beat_s=0.05, patience_s=0.6))
    seen_by_a_stranger(seat_of(store))
    beat = threading.Timer(0.2, seen_by_a_stranger, [seat_of(store)], {"beat": 1})
    beat.start()
    said = re.escape("process 1 on elsewhere is at it already")
    with pytest.raises(RequestError, match=said), quick.sole_lease("refresh"):
        pass
    beat.join()
    with quick.sole_lease("refresh") as lease:
        assert lease.fence == 5
