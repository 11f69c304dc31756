"""The wall clock jumps by a day while a stage works: nothing of the result knows of it."""

import math
import random
import shutil
import time
from functools import partial
from pathlib import Path

import pytest

from flows.graph import StageName
from tests.faults.changes import ended_at
from tests.faults.outcomes import committed
from tests.faults.stages import changes_in_staging, downstream_of, run_stage, store_of, without
from tests.faults.table import Table

DAY_S = 86_400.0
NUM_PLACES = 2  # for each way that a clock can jump
TOO_LONG_S = 3600.0


def jump(seconds: float) -> None:
    """From now on, as after a laptop's battery died, or when a clock is set."""
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + round(seconds * 1e9)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("stage", ["ingest", "tokenize", "pretrain", "tune", "export"])
def test_a_clock_that_jumps_while_it_works(
    stage: StageName, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    expected = committed(whole, stage)
    own = changes_in_staging(stage, whole, corpus, tmp_path / "recorded")
    chance = random.Random(stage)
    for seconds in (DAY_S, -DAY_S):
        for name in chance.sample(own, NUM_PLACES):
            folder = without(whole, tmp_path / "work", downstream_of(stage))
            work = partial(run_stage, stage, corpus, folder)
            assert ended_at(name, folder, work, partial(jump, seconds)).status == 0, name
            assert committed(folder, stage) == expected, name
            [made] = store_of(folder).artifacts(stage)
            told = made.manifest.information
            assert 0 <= told["seconds"] < TOO_LONG_S, name
            values = [value for key, value in told["metrics"].items() if "second" in key]
            assert all(0 <= value < math.inf for value in values), told["metrics"]
            shutil.rmtree(folder)
    table.add(f"{2 * NUM_PLACES} jumps of the clock by a day", stage, "same content and durations")
