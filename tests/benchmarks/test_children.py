"""What a benchmark says a child cost is what it cost, descendants included."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.benchmarks.children import ROOT

BURN = "import time\nwhile time.process_time() < {seconds}: pass\n"
HOLD = "import time; held = bytearray({num_bytes}); time.sleep(0.5)\n"
REPORT = "print('{\"num_read\": 3}')\n"
# Runs a child in a process that has no other children, as the benchmarks do.
RUN = """
import dataclasses, json, sys
from tests.benchmarks.children import run_child
spent = run_child([sys.executable, "-c", sys.argv[1]], watch_memory=True)
print(json.dumps(dataclasses.asdict(spent)))
"""


def spent_by(code: str) -> dict[str, Any]:
    command = [sys.executable, "-c", RUN, code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def starting(code: str, *, is_waited_for: bool) -> str:
    """Code that starts a process of its own."""
    wait = ".wait()" if is_waited_for else ""
    return f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {code!r}]){wait}\n"


def test_a_child_and_its_report() -> None:
    spent = spent_by(BURN.format(seconds=0.5) + REPORT)
    assert 0.5 <= spent["cpu_s"] < 1
    assert spent["report"] == {"num_read": 3}


def test_descendants_count_even_when_nobody_waits_for_them() -> None:
    burn = BURN.format(seconds=0.5)
    waited, orphaned = (
        spent_by(starting(burn, is_waited_for=is_waited_for) + REPORT)["cpu_s"]
        for is_waited_for in (True, False)
    )
    assert 0.5 <= waited < 1
    assert 0.5 <= orphaned < 1


LATER = """
import ctypes, sys
from tests.benchmarks.children import run_child
run_child([sys.executable, "-c", "print('{}')"])
adopts = ctypes.c_int(7)
ctypes.CDLL(None).prctl(37, ctypes.byref(adopts), 0, 0, 0)  # PR_GET_CHILD_SUBREAPER
print(adopts.value)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="adopts orphans on Linux only")
def test_afterwards_orphans_are_not_adopted() -> None:
    command = [sys.executable, "-c", LATER]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout == b"0\n"


def test_memory_is_summed_over_processes_alive_together() -> None:
    held = 64 * 2**20
    hold = HOLD.format(num_bytes=held)
    both = starting(hold, is_waited_for=False) + hold + REPORT
    spent = spent_by(both)
    assert held < spent["peak_process_bytes"] < 2 * held
    assert 2 * held < spent["peak_tree_bytes"] < 3 * held


def test_a_child_that_fails_says_why() -> None:
    command = [sys.executable, "-c", RUN, "raise SystemExit('out of ink')"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "ended with 1: out of ink" in done.stderr
