"""The kernels are compiled once on a machine, and whoever waits for it is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "from model.bpe.warm import warm_up; print(warm_up(print) > 0)"


def say(cache: Path) -> str:
    """What a new process says when it makes the kernels ready."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        cwd=Path(__file__).parents[3],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.mark.slow
def test_only_the_first_process_compiles_and_says_so(tmp_path: Path) -> None:
    [said, took_time] = say(tmp_path).splitlines()
    assert "compiling the vocabulary learner, once on this machine" in said
    assert took_time == "True"
    compiled = {path.name for path in tmp_path.rglob("*.nbc")}
    assert compiled
    assert say(tmp_path) == "False\n"
    assert {path.name for path in tmp_path.rglob("*.nbc")} == compiled
