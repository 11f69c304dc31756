"""An export that is killed goes on where it was and ends with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.table import Table
from tests.tasks.export.exports import chain, export, files_of, made_up_records

NUM_DOCUMENTS = 90
DOCUMENTS_PER_SHARD = 2


@pytest.mark.usefixtures("one_thread")
@pytest.mark.faults
def test_killed_it_does_at_most_one_shard_twice(tmp_path: Path, table: Table) -> None:
    records = made_up_records(NUM_DOCUMENTS)
    inputs = chain(tmp_path, records, documents_per_shard=DOCUMENTS_PER_SHARD)
    output = tmp_path / "killed"
    output.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tasks.export.exports", str(tmp_path), str(output)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    wait_for_parts(output, 3, process)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (output / "dataset.json").exists()
    finished = {path: path.stat().st_ino for path in output.glob("part-*.parquet")}

    metrics = export(inputs, output, level="both")
    assert metrics["num_resumed"] == DOCUMENTS_PER_SHARD * len(finished)
    assert metrics["num_embedded"] == NUM_DOCUMENTS - metrics["num_resumed"]
    assert {path: path.stat().st_ino for path in finished} == finished
    export(inputs, tmp_path / "unbroken", level="both")
    assert files_of(output) == files_of(tmp_path / "unbroken")
    table.add("SIGKILL between two shards", "export", "goes on; the same bytes")


def wait_for_parts(output: Path, num: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many parts are there; the run must not be over before."""
    deadline = time.monotonic() + 120
    while len(list(output.glob("part-*.parquet"))) < num:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
