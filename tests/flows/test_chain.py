"""The whole chain on a real small corpus, with Prefect and MLflow as a user has them."""

import contextlib
import json
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import polars
import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer

from tests.corpora import topic_documents, write_jsonl
from tests.faults.table import Table
from tests.flows.chain import LABEL, QUICK, Chain, copy_prefect, kill, plain
from tests.flows.shell import Shell

pytestmark = pytest.mark.slow

LONGER = ("--vocab.min-frequency", "3", "--pretrain.max-steps", "120")  # checkpoints at each 30
STAGES = ["ingest", "vocab", "tokenize", "pretrain", "tune", "probe", "evaluate", "export"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("chain")
    documents = topic_documents(400)
    documents.append({**documents[0], "id": "twin"})
    return Chain(write_jsonl(folder / "topics.jsonl", documents), folder / "workspace")


@pytest.fixture(scope="module")
def first(chain: Chain) -> dict:
    """The answer of a run in a new workspace, in a process of its own, as a user has it."""
    return chain.run()


@pytest.fixture(scope="module")
def prefect_home(chain: Chain, first: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Prefect left at the end of the first run: to make its database anew takes long."""
    home = tmp_path_factory.mktemp("prefect") / "prefect"
    return copy_prefect(chain.workspace / "state" / "prefect", home)


@pytest.fixture(scope="module")
def quick(chain: Chain, prefect_home: Path) -> Iterator[Chain]:
    """The same workspace, for commands that need no process of their own for what they show."""
    with Shell(plain()) as shell:
        yield replace(chain, shell=shell)


@pytest.fixture(scope="module")
def longer(quick: Chain, first: dict) -> tuple[set[str], dict]:
    """What the tracker had kept before an unbroken run with other settings, and its answer."""
    return tracked(quick), quick.run("pretrain", "--privacy.examples", "true", *LONGER)


def tracked(chain: Chain) -> set[str]:
    """Names of what the tracker has kept, and of the folder in which passages wait for it."""
    state = chain.workspace / "state"
    return {path.name for path in [*(state / "mlartifacts").rglob("*.*"), *state.glob("examples")]}


def reused(answer: dict) -> list[str]:
    return [name for name, made in answer["artifacts"].items() if made["reused"]]


def ask_prefect(chain: Chain, query: str, answer: dict | None = None) -> list[tuple]:
    """Prefect's own database, read only: the server that writes it has ended."""
    path = chain.workspace / "state" / "prefect" / "prefect.db"
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        found = [answer["prefect"]["flow_run_id"]] if answer else []
        return connection.execute(query, found).fetchall()


def prefect_states(chain: Chain, answer: dict) -> dict[str, str]:
    """The stage flows of one run by name, all tagged with its id, and how each ended."""
    query = """
        select stage.name, stage.state_name, stage.tags from flow_run as stage
        join task_run on stage.parent_task_run_id = task_run.id where task_run.flow_run_id = ?
    """
    rows = ask_prefect(chain, query, answer)
    assert all({"corpusmith", answer["run_id"]} <= set(json.loads(tags)) for *_, tags in rows)
    return {name: state for name, state, _ in rows}


def test_tasks_bear_no_tags(chain: Chain, first: dict) -> None:
    """A task with tags asks Prefect's API for their limits, and fails where that is away."""
    query = """
        select distinct task_run.tags from task_run
        left join flow_run on flow_run.parent_task_run_id = task_run.id where flow_run.id is null
    """
    assert ask_prefect(chain, query) == [("[]",)]


def published(chain: Chain) -> Path:
    return chain.workspace / "published" / "embeddings"


def test_the_answer_is_the_contract(chain: Chain, first: dict) -> None:
    assert list(first["artifacts"]) == STAGES
    for made in first["artifacts"].values():
        assert set(made) == {"input_id", "content_id", "path", "reused", "seconds"}
        assert (chain.workspace / made["path"] / "MANIFEST.json").is_file()
        assert made["reused"] is False
    assert first["prefect"]["flow_run_id"]
    assert set(first["mlflow"]) == {"tracking_uri", "experiment", "run_id"}
    assert first["mlflow"]["experiment"] == "corpusmith"
    read = first["metrics"]["ingest/num_read"]
    parts = ("num_kept", "num_duplicate", "num_dropped", "num_quarantined")
    assert read == sum(first["metrics"][f"ingest/{part}"] for part in parts) == 401
    assert len(list(chain.workspace.rglob("checkpoints/step-*"))) >= 8
    assert json.loads((chain.workspace / "runs" / f"{first['run_id']}.json").read_text())


def test_everyone_can_read_the_embeddings(chain: Chain, first: dict) -> None:
    files = str(published(chain) / "part-*.parquet")
    dim = int(first["metrics"]["export/dim"])
    frame = polars.read_parquet(files)
    assert frame.height == 401
    vectors = np.stack(frame["embedding"].to_numpy())
    assert vectors.shape == (401, dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    query = f"select count(*), count(distinct topic) from '{files}' where n_tokens > 0"
    assert duckdb.sql(query).fetchall() == [(401, 4)]
    by_id = dict(zip(frame["doc_id"], vectors, strict=True))
    np.testing.assert_array_equal(by_id["twin"], by_id[topic_documents(1)[0]["id"]])


def test_sentence_transformers_gives_the_exported_vectors(chain: Chain, first: dict) -> None:
    model = SentenceTransformer(str(chain.workspace / first["artifacts"]["tune"]["path"]))
    documents = topic_documents(400)[:50]
    table = pq.read_table(sorted(published(chain).glob("part-*.parquet")))
    ours = {row["doc_id"]: row for row in table.to_pylist()}
    theirs = model.encode([str(document["text"]) for document in documents])
    for document, vector in zip(documents, theirs, strict=True):
        row = ours[str(document["id"])]
        if row["n_windows"] == 1:
            assert np.dot(vector, row["embedding"]) >= 0.9999


def test_mlflow_has_the_run(chain: Chain, first: dict) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(first["mlflow"]["tracking_uri"])
    parent = client.get_run(first["mlflow"]["run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["corpusmith.run_id"] == first["run_id"]
    assert parent.data.tags["prefect.flow_run_id"] == first["prefect"]["flow_run_id"]
    assert parent.data.params["vocab.vocab_size"] == "512"
    assert parent.data.metrics["pretrain/validation_loss"] == pytest.approx(
        first["metrics"]["pretrain/validation_loss"]
    )
    nested = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    assert sorted(run.info.run_name for run in nested) == sorted(STAGES)
    [training] = [run for run in nested if run.info.run_name == "pretrain"]
    history = client.get_metric_history(training.info.run_id, "pretrain/train_loss")
    assert len(history) >= 2
    [model] = client.search_registered_models()
    assert "champion" in model.aliases


def test_text_goes_to_the_tracker_only_when_allowed(
    chain: Chain, first: dict, longer: tuple[set[str], dict]
) -> None:
    kept, _ = longer
    assert {"tokenizer.json", "merges.txt", "overview.html", "scores.parquet"} <= kept
    quoting = {"report.html", "report.json", "guesses.html"}  # words of the corpus, and passages
    assert not {*quoting, "examples"} & kept
    assert quoting <= tracked(chain)


def test_search_answers_from_the_release(quick: Chain, first: dict) -> None:
    answer = quick.answer("search", "the ship left the harbour in a storm", "-k", "5")
    assert len(answer["hits"]) == 5
    assert answer["hits"][0]["text"]
    scores = [hit["score"] for hit in answer["hits"]]
    assert scores == sorted(scores, reverse=True)


def test_prefect_shows_the_run(chain: Chain, first: dict) -> None:
    assert prefect_states(chain, first) == {f"{stage}-workspace": "Completed" for stage in STAGES}
    runs = ask_prefect(chain, "select name from flow_run where id = ?", first)
    assert runs == [("pipeline-workspace",)]
    artifacts = {key for [key] in ask_prefect(chain, "select key from artifact_collection")}
    assert {"ingest-files", *(f"{stage}-metrics" for stage in STAGES)} <= artifacts
    tasks = {name for [name] in ask_prefect(chain, "select name from task_run")}
    assert any(name.startswith("publish") for name in tasks)
    assert any(name.endswith("-00000") for name in tasks), "shards are tasks"


def test_the_second_run_reuses_everything(chain: Chain, first: dict, quick: Chain) -> None:
    again = quick.run()
    assert reused(again) == STAGES
    assert again["metrics"] == first["metrics"]
    assert prefect_states(chain, again) == {f"{stage}-workspace": "Reused" for stage in STAGES}
    assert again["release"]["id"] == first["release"]["id"]


def test_damage_is_noticed_and_mended_and_a_setting_reruns_what_is_below(
    chain: Chain, first: dict, quick: Chain
) -> None:
    shutil.rmtree(chain.workspace / first["artifacts"]["probe"]["path"])
    merges = chain.workspace / first["artifacts"]["vocab"]["path"] / "tokenizer.json"
    merges.chmod(0o644)
    damaged = bytearray(merges.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    merges.write_bytes(damaged)
    plan = quick.answer("plan", str(chain.corpus), "--why", *QUICK, *LABEL, "--tune.max-steps", "9")
    actions = {stage["stage"]: stage["action"] for stage in plan["stages"]}
    assert actions["ingest"] == "reuse"
    assert actions["tune"] == "run"
    assert any(
        "tune.max_steps: 8 -> 9" in reason for stage in plan["stages"] for reason in stage["why"]
    )

    again = quick.run("run", "--tune.max-steps", "9", "--release.publish", "always")
    assert reused(again) == ["ingest", "tokenize", "pretrain"]
    assert again["artifacts"]["vocab"]["content_id"] == first["artifacts"]["vocab"]["content_id"]
    assert again["artifacts"]["probe"]["content_id"] == first["artifacts"]["probe"]["content_id"]
    assert again["release"]["id"] != first["release"]["id"]
    assert quick.answer("verify")["problems"] == []


def test_an_encoder_from_a_folder_is_probed_with_the_corpus_alone(
    chain: Chain, first: dict, quick: Chain, tmp_path: Path
) -> None:
    """The same encoder as the run's own, so the same measures of it; its history is not read."""
    folder = shutil.copytree(
        chain.workspace / first["artifacts"]["pretrain"]["path"],
        tmp_path / "encoder",
        ignore=shutil.ignore_patterns("checkpoints"),
    )
    answer = quick.run("probe", "--probe.encoder", str(folder))
    assert list(answer["artifacts"]) == ["ingest", "probe"]
    assert reused(answer) == ["ingest"]
    own, foreign = (
        chain.workspace / each["artifacts"]["probe"]["path"] for each in (first, answer)
    )
    for table in ("layers.parquet", "heads.parquet"):
        assert (own / table).read_bytes() == (foreign / table).read_bytes()
    assert not (foreign / "checkpoints.parquet").exists()


def test_the_workspace_can_be_asked(quick: Chain, first: dict) -> None:
    part = next(published(quick).glob("part-*.parquet"))
    text = json.dumps(quick.answer("lineage", str(part)))
    assert "topics.jsonl" in text
    assert "pretrain" in text
    status = quick.answer("status")
    assert {each["stage"] for each in status["artifacts"]} == set(STAGES)
    assert quick.answer("release", "list")["current"]
    assert "paths" in quick.answer("gc")
    assert all(check["ok"] for check in quick.answer("doctor")["checks"])


BAD = {
    "no such column": ({"note": "some words"}, "the columns are note"),
    "nothing in it": ({"text": "  "}, "the corpus is empty"),
    "too small to split": ({"text": "a few words"}, "too small for the split"),
    "a reserved name": ({"text": "a few words", "Embedding": 3}, "'Embedding' has a name"),
}


@pytest.fixture(scope="module")
def empty(prefect_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A workspace for all the runs that must leave nothing behind."""
    workspace = tmp_path_factory.mktemp("empty")
    shutil.copytree(prefect_home, workspace / "state" / "prefect")
    with Shell(plain()) as shell:
        yield Chain(Path(), workspace, shell=shell)


@pytest.mark.parametrize("case", BAD)
def test_a_corpus_that_cannot_serve_is_one_line_and_leaves_nothing(
    case: str, tmp_path: Path, empty: Chain
) -> None:
    document, says = BAD[case]
    chain = replace(empty, corpus=write_jsonl(tmp_path / "bad.jsonl", [document] * 3))
    done = chain.try_("run", str(chain.corpus), *QUICK)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("corpusmith: ")
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(chain.workspace.glob("artifacts/*/*"))
    assert not list(chain.workspace.glob("published/*"))


@pytest.mark.faults
def test_killed_and_stopped_runs_go_on_and_give_the_same(
    chain: Chain, longer: tuple[set[str], dict], prefect_home: Path, tmp_path: Path, table: Table
) -> None:
    """SIGKILL after the first checkpoint, SIGTERM in the resumed run, then to the end: the encoder
    is the one of an unbroken run."""
    _, unbroken = longer
    broken = Chain(chain.corpus, tmp_path / "workspace")
    shutil.copytree(prefect_home, broken.workspace / "state" / "prefect")
    process = broken.start(*LONGER)
    broken.wait_for("staging/pretrain/*/*/checkpoints/step-00000030", process)
    kill(process)
    process = broken.start(*LONGER)
    broken.wait_for("staging/pretrain/*/*/checkpoints/step-00000090", process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors[-2000:]
    assert not list(broken.workspace.glob("published/*"))
    states = [run["state"] for run in broken.answer("status")["runs"]]
    assert states == ["stopped", "died"]
    done = broken.run("pretrain", *LONGER)
    for stage in ("vocab", "tokenize", "pretrain"):
        assert done["artifacts"][stage]["content_id"] == unbroken["artifacts"][stage]["content_id"]
    table.add("SIGKILL, then SIGTERM of a whole run", "pretrain", "goes on; the same content")
