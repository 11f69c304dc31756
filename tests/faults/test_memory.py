"""Too little memory: a line, and nothing half; or a process that can be ended, and nothing half.

The limit is that of the address space (``ulimit -v``), which batch systems set. A limit of what is
in use, as containers have, ends a process by SIGKILL; the crash sweep does that.

Under a limit CPython itself can stand still: where a thread's stack still fits and its first frame
does not, `threading.Thread.start` waits for a thread that is gone. No code of ours runs then, so
the test sees that it is this and nothing else, and that SIGTERM ends it as ever.
"""

import faulthandler
import os
import re
import resource
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName
from tasks.store.lease import Pace, hold_lease, is_held
from tasks.store.lease_files import FolderSeat
from tests.faults.changes import begun_apart, done_apart
from tests.faults.outcomes import Work, as_command, committed, line_in
from tests.faults.stages import downstream_of, run_stage, without
from tests.faults.table import Table

SPARE_MB = (0, 20, 60, 120, 200)  # of memory, beyond what the loaded code takes
PATIENCE_S = 8.0  # what a stage takes; whether it stands still is looked at, not guessed
LOOKS_APART_S = 3.0
DIED = (-signal.SIGABRT, -signal.SIGSEGV)  # how libraries in C++ and Rust end
STANDS_STILL = re.compile(
    r'Stack [^\n]+\n(?:  File "[^"]+/threading\.py", line \d+ in wait\n)+'
    r'  File "[^"]+/threading\.py", line \d+ in start\n'
)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", STAGE_NAMES)
def test_too_little_memory_leaves_nothing_half(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    expected = committed(whole, stage)
    folder = without(whole, tmp_path / "work", downstream_of(stage))
    work = partial(run_stage, stage, corpus, folder)
    said, stacks = tmp_path / "said", tmp_path / "stacks"
    ends = []
    for spare_mb in SPARE_MB:
        process = begun_apart(as_command(partial(limited, work, spare_mb, stacks), said), folder)
        status = ended(process, stacks)
        assert committed(folder, stage) in ([], expected)
        ends.append(str(status))
        if status == 1:
            assert "memory" in line_in(said)
        elif status == 143:
            assert "stopped by SIGTERM" in said.read_text("utf-8")
        else:
            assert status in (0, *DIED)
    assert set(ends) != {"0"}, "no limit was felt"
    assert done_apart(work) == 0
    assert committed(folder, stage) == expected
    table.add(f"{SPARE_MB} MB of memory", stage, f"status {', '.join(ends)}; nothing half")


def limited(work: Work, spare_mb: int, stacks: Path) -> None:
    """The work with so much memory beyond what this process has now; SIGUSR1 has it write down
    where it is."""
    with stacks.open("w") as file:
        faulthandler.register(signal.SIGUSR1, file=file, all_threads=False)
        limit_memory(spare_mb)
        work()


def limit_memory(spare_mb: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + spare_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def ended(process: int, stacks: Path) -> int:
    """How it ended; by SIGTERM where the interpreter stood still."""
    begun_s = time.monotonic()
    looks: list[bool] = []
    while not (found := os.waitpid(process, os.WNOHANG))[0]:
        time.sleep(0.05)
        if time.monotonic() - begun_s > PATIENCE_S + len(looks) * LOOKS_APART_S:
            looks.append(stands_still(process, stacks))
        if looks[-2:] == [True, True]:
            os.kill(process, signal.SIGTERM)
            begun_s, looks = time.monotonic(), []
    return os.waitstatus_to_exitcode(found[1])


def stands_still(process: int, stacks: Path) -> bool:
    """Whether it waits for a thread to begin."""
    os.truncate(stacks, 0)
    os.kill(process, signal.SIGUSR1)
    time.sleep(0.5)
    return STANDS_STILL.search(stacks.read_text(errors="replace")) is not None


def test_a_lease_that_no_thread_can_keep_alive_is_given_up(tmp_path: Path) -> None:
    """Who tries again in the same process would else wait for itself."""
    seat = FolderSeat(tmp_path / "lease")

    def try_it() -> None:
        threading.stack_size(2**30)
        limit_memory(256)
        with (
            pytest.raises(RuntimeError, match="can't start new thread"),
            hold_lease(seat, "vocab", "0" * 32, pace=Pace(), say=print),
        ):
            raise AssertionError("it began")
        assert not is_held(seat.newest())

    assert done_apart(try_it) == 0
