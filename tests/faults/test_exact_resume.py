"""Killed twice, wherever it may be, training learns from the same rows in the same order, bit for
bit: where others lose their place is the second time that they go on."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from model.masked_batches import MaskedBatch
from model.training import Training
from tests.faults.changes import begun_apart, done_apart, kill_self
from tests.faults.outcomes import Work
from tests.faults.table import Table
from tests.tasks.chain import Listener
from tests.tasks.pretrain.runs import digests, pretrain, upstream

NUM_PLACES = 20  # of two kills each
NUM_STEPS = 32  # of four rows: past the end of the first epoch
NUM_CHANGES = 40  # of the disk, of about a hundred that a whole run makes
OFTEN, SELDOM = 0.0005, 10.0  # minutes between checkpoints: every few updates, or the four only


def learning(root: Path, output: Path, log: Path, minutes: float, dies_at: int = -1) -> Work:
    """Training in a process of its own that writes down each update, and may die before one.

    Args:
        root: where what it reads lies.
        output: the stage's.
        log: gets a line for each update: its number, its loss, its rows.
        minutes: between checkpoints.
        dies_at: an update of this attempt, from 0.
    """
    compute, done = Training._gradient, 0

    def compute_and_tell(training: Training, batches: list[MaskedBatch]) -> object:
        nonlocal done
        if done == dies_at:
            kill_self()
        done += 1
        update = compute(training, batches)
        step, skipped = training.state.step, training.state.num_skipped_rows
        with log.open("a") as lines:
            lines.write(f"{step} {update.loss.hex()} {training.rows.chosen(step, skipped)}\n")
        return update

    def run() -> None:
        Training._gradient = compute_and_tell
        pretrain(root, output, Listener(), max_steps=NUM_STEPS, checkpoint_minutes=minutes)

    return run


def dying_at(number: int) -> Callable[[str], None]:
    """Dies before a change of the disk, counted from 0."""
    left = [number]

    def at(name: str) -> None:
        if left[0] == 0:
            kill_self()
        left[0] -= 1

    return at


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("whole")  # the code is loaded once, and not by each process
def test_killed_twice_anywhere_it_learns_the_same_in_the_same_order(
    tmp_path: Path, table: Table
) -> None:
    upstream(tmp_path)
    unbroken, log = tmp_path / "unbroken", tmp_path / "log"
    assert done_apart(learning(tmp_path, unbroken, log, SELDOM)) == 0
    expected, whole = log.read_text().splitlines(), digests(unbroken)
    assert [int(line.split()[0]) for line in expected] == list(range(NUM_STEPS))
    assert "(1, " in expected[-1], "the second epoch has begun"
    chance, num_killed, num_again = random.Random(0), 0, 0
    for place in range(NUM_PLACES):
        output, log = tmp_path / f"broken-{place}", tmp_path / f"log-{place}"
        minutes = (SELDOM, OFTEN)[place % 2]
        for _ in range(2):
            if chance.random() < 0.5:
                work = learning(tmp_path, output, log, minutes, chance.randrange(NUM_STEPS // 2))
                process = begun_apart(work, output)
            else:
                work = learning(tmp_path, output, log, minutes)
                process = begun_apart(work, output, dying_at(chance.randrange(NUM_CHANGES)))
            status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            assert status in (0, -signal.SIGKILL)
            num_killed += status != 0
        assert done_apart(learning(tmp_path, output, log, minutes)) == 0
        assert digests(output) == whole, place
        lines = log.read_text().splitlines()
        assert set(lines) == set(expected), place  # each update again as it was, none left out
        num_again += len(lines) - NUM_STEPS
        shutil.rmtree(output)
    assert num_killed >= 1.5 * NUM_PLACES
    assert num_again > 0
    happened = f"the same rows, losses and bytes; {num_again} updates computed again"
    table.add(f"{num_killed} kills at {NUM_PLACES} places, two each", "pretrain", happened)
