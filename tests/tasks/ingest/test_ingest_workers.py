"""Worker processes end with the one that started them, and their death is told in one line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tasks.ingest.workers import WorkerDiedError, Workers, choose_num_workers
from tests.contracts.code import ROOT

PARENT = """
import os, sys, threading
from tasks.ingest.workers import Workers
from tests.tasks.ingest.test_ingest_workers import note_and_wait

if __name__ == "__main__":
    with Workers(2) as workers:
        calls = [threading.Thread(target=workers.call, args=(note_and_wait, name))
                 for name in sys.argv[1:]]
        [call.start() for call in calls]
        [call.join() for call in calls]
"""


def note_and_wait(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(120)


def die(status: int) -> None:
    os._exit(status)


def fail(text: str) -> None:
    raise ValueError(text)


def double(number: int) -> int:
    return 2 * number


@pytest.mark.parametrize("num_workers", [1, 2])
def test_results_and_errors_come_back(num_workers: int) -> None:
    with Workers(num_workers) as workers:
        assert workers.are_here == (num_workers == 1)
        assert [workers.call(double, number) for number in range(5)] == [0, 2, 4, 6, 8]
        with pytest.raises(ValueError, match="just so"):
            workers.call(fail, "just so")


def test_a_worker_that_dies_is_named() -> None:
    with (
        pytest.raises(WorkerDiedError, match=r"lower ingest\.num_workers"),
        Workers(2) as workers,
    ):
        workers.call(die, 9)


def test_workers_of_a_killed_process_end(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    notes = [tmp_path / "one", tmp_path / "two"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, str(script), *map(str, notes)], env=environment)
    try:
        wait_until(lambda: all(note.exists() and note.read_text() for note in notes))
        workers = [int(note.read_text()) for note in notes]
        assert len(set(workers)) == 2
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_until(lambda: not any(map(is_alive, workers)))
    finally:
        parent.kill()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_there_are_as_many_workers_as_pay() -> None:
    assert choose_num_workers(None, 10**6) == 1
    assert 1 <= choose_num_workers(None, 10**12) <= (os.cpu_count() or 1)
    assert choose_num_workers(7, 0) == 7
