"""Two processes at the same stage commit once, and agree, whoever pauses, whatever clocks say."""

import os
import random
import re
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tasks.store.lease import PACE, Pace
from tests.faults.changes import begun_apart, changes_of, pause_self
from tests.faults.outcomes import Work, as_command, committed, line_in
from tests.faults.stages import downstream_of, run_stage, without
from tests.faults.table import Table

QUICK = Pace(beat_s=0.05, patience_s=0.4)
HASTY = Pace(beat_s=10.0, patience_s=0.0)  # takes every holder for dead: leases save nothing then
DAY_S = 86_400.0
NUM_RACES, NUM_PAUSED = 80, 20
TAKEN_OVER = r"another process took over tokenize/\w+ while this one stood still.*"


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("pace", [PACE, HASTY], ids=["leases", "no leases"])
def test_two_that_begin_together(
    pace: Pace, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    chance = random.Random(str(pace))
    expected = committed(whole, "tokenize")
    source = without(whole, tmp_path / "source", downstream_of("tokenize"))
    num_lost = 0
    for number in range(NUM_RACES // 2):
        folder = without(source, tmp_path / str(number), set())
        work = partial(run_stage, "tokenize", corpus, folder, pace)
        said = [tmp_path / "said-1", tmp_path / "said-2"]
        racers = [begun_apart(as_command(work, said[0]), folder)]
        time.sleep(chance.uniform(0, 0.1))
        racers.append(begun_apart(as_command(work, said[1]), folder))
        statuses = [ended(racer) for racer in racers]
        num_lost += lost(statuses, said)
        assert committed(folder, "tokenize") == expected
        shutil.rmtree(folder)
    if pace == PACE:
        assert num_lost == 0
    races = f"{NUM_RACES // 2} races of two processes" + ("" if pace == PACE else ", no leases")
    table.add(races, "tokenize", f"one commit; {num_lost} lost")


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_one_that_sleeps_is_overtaken_and_wakes(
    whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    """Who overtakes has a clock that is a day off, one way or the other."""
    expected = committed(whole, "tokenize")
    source = without(whole, tmp_path / "source", downstream_of("tokenize"))
    recorded = without(source, tmp_path / "recorded", set())
    changes = changes_of(recorded, partial(run_stage, "tokenize", corpus, recorded))
    own = [place for place, name in enumerate(changes) if "/tokenize/ID" in name]
    chance = random.Random(0)
    num_lost = 0
    for number in range(NUM_PAUSED):
        folder = without(source, tmp_path / str(number), set())
        work = partial(run_stage, "tokenize", corpus, folder, QUICK)
        said = [tmp_path / "said-1", tmp_path / "said-2"]
        pause = Pause(chance.choice(own))
        sleeper = begun_apart(as_command(work, said[0]), folder, pause)
        assert os.WIFSTOPPED(os.waitpid(sleeper, os.WUNTRACED)[1])
        shift_s = (0.0, DAY_S, -DAY_S)[number % 3]
        other = begun_apart(as_command(with_clock(work, shift_s), said[1]), folder)
        assert ended(other) == 0, said[1].read_text()
        os.kill(sleeper, signal.SIGCONT)
        num_lost += lost([ended(sleeper), 0], said)
        assert committed(folder, "tokenize") == expected
        shutil.rmtree(folder)
    happened = f"one commit; {num_lost} told that they were overtaken"
    table.add(f"{NUM_PAUSED} pauses, clocks a day off", "tokenize", happened)


class Pause:
    """Stops the process before a change, by its number."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, name: str) -> None:
        if self._left == 0:
            pause_self()
        self._left -= 1


def with_clock(work: Work, shift_s: float) -> Work:
    """The work, in a process of its own whose wall clock is wrong."""
    right, right_ns = time.time, time.time_ns

    def run() -> None:
        time.time = lambda: right() + shift_s
        time.time_ns = lambda: right_ns() + round(shift_s * 1e9)
        work()

    return run


def ended(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def lost(statuses: list[int], said: list[Path]) -> int:
    """How many were told that they were overtaken; no one may end otherwise but well."""
    for status, path in zip(statuses, said, strict=True):
        if status:
            assert status == 1, path.read_text()
            assert re.fullmatch(TAKEN_OVER, line_in(path)), line_in(path)
    return sum(map(bool, statuses))
