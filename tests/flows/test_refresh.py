"""The nightly flow on a real small workspace: what changed is embedded, compared and published."""

import contextlib
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tasks.execute import execute
from tasks.export.config import ExportConfig
from tasks.export.stage import EXPORT
from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.release.pointer import current
from tasks.stage import StageContext, map_in_order
from tasks.store.artifact import ArtifactRef
from tasks.store.run_records import begun, ended
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.corpora import topic_documents, write_jsonl
from tests.faults.table import Table
from tests.flows.chain import LABEL, QUICK, Chain, kill, plain
from tests.flows.shell import Shell
from tests.tasks.chain import Listener

pytestmark = pytest.mark.slow

SPLIT = ("--ingest.test-frac", "0.25")
QUICKER = (*QUICK, *LABEL, *SPLIT, "--drift.num-resamples", "400")
BEFORE = topic_documents(300)
NUM_NEW, NUM_EDITED, NUM_GONE = 20, 5, 10
AFTER = [
    *({**each, "text": f"{each['text']} Amended since."} for each in BEFORE[:NUM_EDITED]),
    *BEFORE[NUM_EDITED : len(BEFORE) - NUM_GONE],
    *({**each, "id": f"new-{each['id']}"} for each in topic_documents(NUM_NEW, seed=77)),
]
LATER = [*AFTER, *({**each, "id": f"late-{each['id']}"} for each in topic_documents(9, seed=78))]


def numbers(num_documents: int, *, prefix: str) -> list[dict[str, str | int]]:
    """Documents of another subject: there is no word in them."""
    draw = np.random.default_rng(len(prefix))
    return [
        {
            "id": f"{prefix}-{index}",
            "text": " ".join(map(str, draw.integers(0, 10**9, size=40))),
            "topic": "number",
            "year": 2000,
        }
        for index in range(num_documents)
    ]


@dataclass
class Nights:
    """A workspace with a release, and the file its documents are read from."""

    chain: Chain

    @property
    def store(self) -> Store:
        return Store(Workspace.open(self.chain.workspace))

    def refresh(self, *more: str) -> dict[str, Any]:
        return self.chain.answer("refresh", str(self.chain.corpus), *QUICKER, *more)

    def try_refresh(self, *more: str) -> "subprocess.CompletedProcess[str]":
        return self.chain.try_("refresh", str(self.chain.corpus), *QUICKER, *more)

    def record(self, answer: dict[str, Any]) -> dict[str, Any]:
        path = self.chain.workspace / "runs" / f"{answer['run_id']}.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    folder = tmp_path_factory.mktemp("refresh")
    corpus = write_jsonl(folder / "topics.jsonl", BEFORE)
    with Shell(plain()) as shell:
        chain = Chain(corpus, folder / "workspace", shell=shell)
        chain.run("run", *SPLIT)
        yield Nights(chain)


@pytest.fixture(scope="module")
def quiet(nights: Nights) -> dict[str, Any]:
    return nights.refresh()


@pytest.fixture(scope="module")
def changed(nights: Nights, quiet: dict[str, Any]) -> dict[str, Any]:
    """The night that brings new, edited and removed documents."""
    write_jsonl(nights.chain.corpus, AFTER)
    return nights.refresh()


def test_nothing_new_ends_at_once_and_publishes_nothing(
    nights: Nights, quiet: dict[str, Any]
) -> None:
    assert list(quiet["artifacts"]) == ["ingest"]
    assert quiet["release"]["id"] == 1
    assert (quiet["published"], quiet["proposal"]) == (None, None)
    assert quiet["drift"]["says"] == "nothing is new: release 1 has these documents"
    assert nights.record(quiet)["seconds"] < 20


def test_only_what_changed_is_embedded_and_the_release_is_whole(
    nights: Nights, changed: dict[str, Any]
) -> None:
    assert list(changed["artifacts"]) == ["ingest", "export", "drift"]
    assert changed["published"] == str(nights.chain.workspace / "published" / "embeddings")
    assert changed["release"]["id"] == 2
    assert changed["metrics"]["export/num_embedded"] == NUM_NEW + NUM_EDITED
    assert changed["metrics"]["drift/num_new_documents"] == NUM_NEW + NUM_EDITED
    release = current(nights.store.workspace)
    assert release
    assert release.model_dump(mode="json") == changed["release"]
    assert release.corpus
    assert release.corpus.input_id == changed["artifacts"]["ingest"]["input_id"]
    assert release.scores


def test_the_table_is_the_one_that_would_be_made_from_scratch(
    nights: Nights, changed: dict[str, Any], tmp_path: Path
) -> None:
    fresh = Store(Workspace.open(tmp_path / "fresh"))
    ingest = IngestConfig(paths=[str(nights.chain.corpus)], label_column="topic", test_frac=0.25)
    told = {"report": Listener(), "map_shards": map_in_order}
    corpus = execute(INGEST, ingest, {}, store=fresh, **told).ref
    assert corpus.content_id == changed["artifacts"]["ingest"]["content_id"]
    store = nights.store
    release = current(store.workspace)
    assert release
    export = store.resolve(release.export)
    read = {name: _input(store, export.manifest.inputs, name) for name in EXPORT.upstream}
    (tmp_path / "export").mkdir()
    EXPORT.run(StageContext(ExportConfig(), read, tmp_path / "export", Listener()))
    ours, theirs = (
        pq.read_table(sorted(folder.glob("part-*.parquet")))
        for folder in (export.path, tmp_path / "export")
    )
    assert ours.drop_columns("embedding").equals(theirs.drop_columns("embedding"))
    assert ours.num_rows == len(AFTER)
    vectors = [np.stack(table["embedding"].to_numpy()) for table in (ours, theirs)]
    np.testing.assert_allclose(*vectors, atol=1e-5)


def _input(store: Store, inputs: Any, name: str) -> Any:
    entry = inputs[name]
    path = f"artifacts/{name}/{entry.input_id}"
    ref = ArtifactRef(stage=name, input_id=entry.input_id, content_id=entry.content_id, path=path)
    return store.resolve(ref)


def test_an_ordinary_night_is_quiet_and_status_tells_of_it(
    nights: Nights, changed: dict[str, Any]
) -> None:
    assert changed["drift"]["says"].startswith("quiet: ")
    assert changed["proposal"] is None
    assert nights.record(changed)["drift"] == changed["drift"]
    told = nights.chain.answer("status")["refresh"]
    assert told["run_id"] == changed["run_id"]
    assert told["published"]
    shown = nights.chain.try_("status").stdout
    assert f"completed, published; {changed['drift']['says']}" in " ".join(shown.split())


def test_it_is_a_run_of_the_tracker_with_its_measures(
    nights: Nights, changed: dict[str, Any]
) -> None:
    from mlflow import MlflowClient

    run = MlflowClient(changed["mlflow"]["tracking_uri"]).get_run(changed["mlflow"]["run_id"])
    assert run.data.metrics["drift/masked_loss"] == changed["metrics"]["drift/masked_loss"]
    assert run.data.tags["corpusmith.drift"] == changed["drift"]["says"]


def test_a_table_that_was_rolled_back_from_is_refused_and_told_of(
    nights: Nights, changed: dict[str, Any]
) -> None:
    assert nights.chain.answer("release", "rollback")["release"]["id"] == 1
    done = nights.try_refresh("--json", "--notify.block", "slack-webhook/nobody")
    assert nights.chain.answer("release", "rollback", "2")["release"]["id"] == 2
    told = json.loads(done.stdout)
    assert (told["published"], told["release"]["id"], told["refused"]["against"]) == (None, 1, 1)
    [reason] = told["refused"]["reasons"]
    assert reason.startswith("release 2 with this table was rolled back from")
    assert f"not published, release 1 stays: {reason}" in done.stderr
    assert "notify.block slack-webhook/nobody was not told of the refusal" in done.stderr


def test_a_second_refresh_is_refused_and_told_who_works(
    nights: Nights, changed: dict[str, Any]
) -> None:
    with nights.store.sole_lease("refresh"):
        done = nights.try_refresh()
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("corpusmith: refresh: process ")
    assert "is at it already" in last


@pytest.mark.faults
def test_a_killed_refresh_has_published_nothing_and_goes_on(
    nights: Nights, changed: dict[str, Any], table: Table
) -> None:
    chain = nights.chain
    write_jsonl(chain.corpus, LATER)
    before = {path.name for path in chain.workspace.glob("artifacts/export/*")}
    process = subprocess.Popen(
        chain.command("refresh", str(chain.corpus), *QUICKER),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=plain(),
    )
    deadline = time.monotonic() + 120
    while {path.name for path in chain.workspace.glob("artifacts/export/*")} == before:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    kill(process)
    release = current(nights.store.workspace)
    assert release
    assert release.id == 2
    answer = nights.refresh()
    assert answer["published"]
    assert answer["release"]["id"] == 3
    assert answer["artifacts"]["export"]["reused"]
    assert answer["metrics"]["export/num_embedded"] == 9
    table.add("SIGKILL after the export", "refresh", "nothing published; the next one goes on")


@pytest.fixture(scope="module")
def drifted(nights: Nights, changed: dict[str, Any]) -> dict[str, Any]:
    """A night on which the subject changes."""
    write_jsonl(nights.chain.corpus, [*AFTER, *numbers(30, prefix="n")])
    return nights.refresh()


def test_another_subject_proposes_to_train_and_starts_nothing(
    nights: Nights, drifted: dict[str, Any]
) -> None:
    assert drifted["published"]
    assert drifted["drift"]["alarm"]
    assert "embedding_distance" in drifted["drift"]["raised"]
    proposal = drifted["proposal"]
    assert proposal["started"] is False
    assert proposal["refused"] == "refresh.may_train is off: `corpusmith run` trains"
    assert any(reason.startswith("embedding_distance +") for reason in proposal["reasons"])
    assert nights.record(drifted)["proposal"] == proposal
    database = nights.chain.workspace / "state" / "prefect" / "prefect.db"
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as prefect:
        [page] = prefect.execute("select data from artifact where key = 'drift-proposal'")
    assert proposal["reasons"][0] in json.loads(page[0])


@pytest.mark.long
@pytest.mark.timeout(300)
def test_where_it_may_it_trains_and_publishes_the_new_embedder(
    nights: Nights, drifted: dict[str, Any]
) -> None:
    write_jsonl(nights.chain.corpus, [*AFTER, *numbers(30, prefix="n"), *numbers(40, prefix="nn")])
    allowed = ("--refresh.may-train", "true", "--refresh.gpu-hours", "5")
    done = nights.try_refresh("--json", *allowed, "--notify.block", "slack-webhook/nobody")
    assert "refresh.cooldown_days is 7" in json.loads(done.stdout)["proposal"]["refused"]
    assert "notify.block slack-webhook/nobody was not told of the drift" in done.stderr
    write_jsonl(nights.chain.corpus, [*AFTER, *numbers(30, prefix="n"), *numbers(41, prefix="nnn")])
    answer = nights.refresh(*allowed, "--refresh.cooldown-days", "0")
    proposal = answer["proposal"]
    assert (proposal["started"], proposal["refused"]) == (True, None)
    record = nights.record({"run_id": proposal["run_id"]})
    assert (record["flow"], record["state"]) == ("pipeline", "completed")
    assert nights.record(answer)["state"] == "completed"
    assert "pretrain" not in nights.record(answer)["artifacts"]
    release = current(nights.store.workspace)
    assert release
    assert release.corpus
    assert release.corpus.content_id == answer["artifacts"]["ingest"]["content_id"]


def test_a_chain_that_was_begun_and_killed_is_gone_on_with_if_it_still_may(
    nights: Nights, changed: dict[str, Any]
) -> None:
    """On the next night, though it brings nothing; what is allowed is asked again."""
    shown = " ".join(nights.try_refresh().stdout.split())
    assert "stays drift nothing is new: release" in shown
    begun_chain = {"reasons": ["masked_loss +2"], "started": True, "refused": None}
    told = {"proposal": begun_chain, "drift": {"measures": []}}
    nights.store.workspace.write_run("x", ended(begun("x", "refresh") | told, "stopped"))
    answer = nights.refresh()
    assert not answer["published"]
    assert answer["proposal"] == {
        "reasons": ["masked_loss +2"],
        "started": False,
        "refused": "refresh.may_train is off: `corpusmith run` trains",
    }


def test_what_cannot_be_refreshed_is_refused_before_anything_starts(
    nights: Nights, changed: dict[str, Any], tmp_path: Path
) -> None:
    elsewhere = replace(nights.chain, workspace=tmp_path / "new", shell=None)
    done = elsewhere.try_("refresh", str(nights.chain.corpus), *QUICKER)
    assert done.returncode == 2
    assert "`corpusmith run` makes one" in done.stderr
    assert not list(tmp_path.iterdir())
    Workspace.open(tmp_path / "new")
    done = elsewhere.try_("refresh", str(nights.chain.corpus), *QUICKER)
    assert done.returncode == 2
    assert "`corpusmith run` publishes" in done.stderr
    done = nights.chain.try_("refresh", *QUICKER)
    assert done.returncode == 2
    assert "no PATHS are given, and release" in done.stderr
