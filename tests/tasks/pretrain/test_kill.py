"""A run that is killed goes on from its newest checkpoint and ends with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.table import Table
from tests.tasks.chain import Listener
from tests.tasks.pretrain.runs import digests, pretrain, upstream

NUM_STEPS = 240


@pytest.mark.faults
def test_killed_twice_it_ends_with_the_same_bytes(tmp_path: Path, table: Table) -> None:
    upstream(tmp_path)
    for kill_number in (1, 2):
        process = start(tmp_path)
        wait_for_checkpoints(tmp_path / "killed", kill_number, process)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "killed" / "model.safetensors").exists()
    assert start(tmp_path).wait() == 0
    pretrain(tmp_path, tmp_path / "unbroken", Listener(), max_steps=NUM_STEPS)
    assert digests(tmp_path / "killed") == digests(tmp_path / "unbroken")
    table.add("SIGKILL between two steps, twice", "pretrain", "goes on; the same bytes")


def start(root: Path) -> subprocess.Popen[bytes]:
    arguments = ["-m", "tests.tasks.pretrain.runs", str(root), str(root / "killed"), str(NUM_STEPS)]
    return subprocess.Popen([sys.executable, *arguments])


def wait_for_checkpoints(output: Path, num: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many checkpoints are there; the run must not be over before."""
    deadline = time.monotonic() + 120
    while len(list(output.glob("checkpoints/step-*"))) < num:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
