"""A whole run, Prefect and all, killed in every stage: it goes on, and ends as one that was not."""

import subprocess
import time
from itertools import chain as in_turn
from pathlib import Path

import pytest

from flows.graph import STAGE_NAMES, StageName
from tests.corpora import topic_documents, write_jsonl
from tests.faults.table import Table
from tests.flows.chain import Chain, copy_prefect, kill

# What a stage leaves in its folder when the first piece of its work is done.
FIRST_PIECE: dict[StageName, str] = {
    "ingest": "scratch/*/done.json",
    "vocab": "scratch/counts/*.json",
    "tokenize": "scratch/*.json",
    "pretrain": "checkpoints/step-*",
    "tune": "checkpoints/step-*",
    "probe": "layers.parquet",
    "evaluate": "scores.parquet",
    "export": "part-*.parquet",
}
MANY_SHARDS = ("--ingest.documents-per-shard", "50")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Chain, dict[str, str]]:
    """A run that nothing happens to, and the content ids of its artifacts."""
    folder = tmp_path_factory.mktemp("unbroken")
    corpus = write_jsonl(folder / "topics.jsonl", topic_documents(200))
    chain = Chain(corpus, folder / "workspace")
    return chain, contents(chain.run("run", *MANY_SHARDS))


def contents(answer: dict) -> dict[str, str]:
    return {stage: made["content_id"] for stage, made in answer["artifacts"].items()}


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_run_killed_in_every_stage_ends_as_one_that_was_not(
    unbroken: tuple[Chain, dict[str, str]], tmp_path: Path, table: Table
) -> None:
    whole, expected = unbroken
    broken = Chain(whole.corpus, tmp_path / "workspace")
    copy_prefect(whole.workspace / "state" / "prefect", broken.workspace / "state" / "prefect")
    for stage in STAGE_NAMES:
        process = broken.start(*MANY_SHARDS)
        wait_for_first_piece(stage, broken.workspace, process)
        kill(process)
    done = broken.run("run", *MANY_SHARDS)
    assert contents(done) == expected
    made = {stage for stage, each in done["artifacts"].items() if not each["reused"]}
    assert made <= {"export"}
    assert not [path for path in (broken.workspace / "staging").rglob("*") if path.is_file()]
    died = [run["state"] for run in broken.answer("status")["runs"]].count("died")
    assert died == len(STAGE_NAMES)
    for stage in STAGE_NAMES:
        table.add("SIGKILL of a whole run", stage, "the next run goes on; the same content")


def wait_for_first_piece(
    stage: StageName, workspace: Path, process: "subprocess.Popen[str]", seconds: float = 200
) -> None:
    """Or for the whole artifact, should that be there so soon after that nobody saw the piece."""
    deadline_s = time.monotonic() + seconds
    patterns = (f"staging/{stage}/*/*/{FIRST_PIECE[stage]}", f"artifacts/{stage}/*")
    while not any(in_turn.from_iterable(map(workspace.glob, patterns))):
        assert time.monotonic() < deadline_s, f"{stage} did not come so far"
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
