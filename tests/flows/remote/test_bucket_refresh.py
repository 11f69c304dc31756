"""A night on a workspace in a bucket: one machine has trained, another refreshes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.release.pointer import current
from tests.bucket_fixtures import Shared
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import LABEL, QUICK, plain

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

SETTINGS = (*QUICK, *LABEL, "--ingest.test-frac", "0.25", "--drift.num-resamples", "400")
NUM_BEFORE, NUM_NEW, NUM_GONE = 120, 9, 4
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run_on(shared: Shared, tmp_path: Path) -> Run:
    """The answer of a command on a machine that has nothing of its own."""

    def run(machine: str, command: str, corpus: Path) -> dict[str, Any]:
        folders = {name: str(tmp_path / machine / name) for name in ("cache", "state")}
        environment = plain() | {f"XDG_{name.upper()}_HOME": at for name, at in folders.items()}
        done = subprocess.run(
            [
                *(sys.executable, "-m", "flows", command, str(corpus), *SETTINGS),
                *("--workspace", shared.url, "--json"),
            ],
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        [line] = done.stdout.splitlines()
        answer: dict[str, Any] = json.loads(line)
        return answer

    return run


def test_another_machine_refreshes_what_one_has_released(
    shared: Shared, run_on: Run, tmp_path: Path
) -> None:
    before = topic_documents(NUM_BEFORE)
    corpus = write_jsonl(tmp_path / "topics.jsonl", before)
    made = run_on("trainer", "run", corpus)
    new = [{**each, "id": f"new-{each['id']}"} for each in topic_documents(NUM_NEW, seed=77)]
    now = [*before[NUM_GONE:], *new]
    write_jsonl(corpus, now)

    night = run_on("refresher", "refresh", corpus)
    assert night["release"]["id"] == made["release"]["id"] + 1
    assert night["metrics"]["export/num_embedded"] == NUM_NEW
    reader = shared.open("reader")
    release = current(reader.workspace)
    assert release is not None
    assert release.embedder.content_id == made["artifacts"]["tune"]["content_id"]
    export = reader.get(release.export.stage, release.export.input_id)
    rows = pq.read_table(export.path / "data").sort_by("doc_id")
    assert rows["doc_id"].to_pylist() == sorted(str(each["id"]) for each in now)
    assert np.isfinite(np.stack(rows["embedding"].to_numpy())).all()

    quiet = run_on("refresher", "refresh", corpus)
    assert list(quiet["artifacts"]) == ["ingest"]
    assert quiet["release"] == night["release"]
