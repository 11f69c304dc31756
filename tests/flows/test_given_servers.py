"""Runs told where Prefect and MLflow are: real servers, and nothing of their own beside."""

import http.server
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from flows.checks.clock import clock_check
from flows.checks.servers import given_servers, server_checks
from flows.local_server import LOOPBACK
from flows.ui import start_ui
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import QUICK, Chain, plain

pytestmark = pytest.mark.slow

START_S = 180.0
BLOCK = "custom-webhook/ops"
SECRET = "hunter2"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of an MLflow and a Prefect server that others share."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
            patch.delenv(name, raising=False)
        shared = tmp_path_factory.mktemp("shared")
        addresses, started = start_ui(shared, mlflow_port=0, prefect_port=0)
    try:
        for server in started:
            server.wait_until_ready(START_S)
        yield addresses
    finally:
        for server in started:
            server.stop()


@pytest.fixture(scope="module")
def environment(servers: dict[str, str]) -> dict[str, str]:
    """What tells a run of the servers."""
    return {
        "PREFECT_API_URL": f"{servers['prefect']}/api",
        "MLFLOW_TRACKING_URI": servers["mlflow"],
        "MLFLOW_EXPERIMENT_NAME": "team",
    }


SAVE_BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock

CustomWebhookNotificationBlock(
    name="ops",
    url=sys.argv[1],
    json_data={"subject": "{{subject}}", "body": "{{body}}"},
    secrets={"token": sys.argv[2]},
    headers={"X-Token": "{{token}}"},
).save("ops")
"""


@pytest.fixture(scope="module")
def told(environment: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
    """The messages that arrive where the saved notification block sends them."""
    messages: list[dict[str, Any]] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.append({"token": self.headers["X-Token"], **json.loads(body)})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://{LOOPBACK}:{server.server_port}/hook"
    command = [sys.executable, "-c", SAVE_BLOCK, url, SECRET]
    subprocess.run(command, env=plain() | environment, check=True, capture_output=True)
    yield messages
    server.shutdown()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Chain:
    folder = tmp_path_factory.mktemp("given")
    corpus = write_jsonl(folder / "topics.jsonl", topic_documents(100))
    return Chain(corpus, folder / "workspace", environment)


@pytest.fixture(scope="module")
def answer(chain: Chain, told: list[dict[str, Any]]) -> dict[str, Any]:
    """Of a whole run."""
    return chain.run("run", "--notify.block", BLOCK)


@pytest.fixture(scope="module")
def client(servers: dict[str, str]) -> MlflowClient:
    return MlflowClient(servers["mlflow"])


def asked(chain: Chain, path: str, question: dict[str, Any]) -> list[dict[str, Any]]:
    """What the Prefect server has, as it tells it."""
    request = urllib.request.Request(
        f"{chain.environment['PREFECT_API_URL']}/{path}/filter",
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as found:
        told: list[dict[str, Any]] = json.load(found)
    return told


def flow_runs(chain: Chain, name: str) -> list[dict[str, Any]]:
    """The runs of that flow that were completed."""
    completed = {"state": {"type": {"any_": ["COMPLETED"]}}}
    wanted = {"flows": {"name": {"any_": [name]}}, "flow_runs": completed}
    return asked(chain, "flow_runs", wanted)


def shown(chain: Chain, flow_run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The artifacts on the page of a flow run, by key."""
    wanted = {"artifacts": {"flow_run_id": {"any_": [flow_run["id"]]}}}
    return {each["key"]: each for each in asked(chain, "artifacts", wanted)}


def nested_runs(client: MlflowClient, parent: Run) -> dict[str, Run]:
    """The stages' runs by name."""
    below = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    found = client.search_runs([parent.info.experiment_id], below)
    return {run.info.run_name: run for run in found}


def test_the_doctor_finds_them_well(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    named = given_servers()
    assert [(each["name"], each["state"]) for each in server_checks(named)] == [
        ("Prefect", "ok"),
        ("MLflow", "ok"),
    ]
    found = clock_check(tmp_path, named)
    assert found["state"] == "ok"
    assert "Prefect and MLflow" in found["finding"]


def test_people_are_told_of_a_failure_and_of_nothing_that_was_read(
    chain: Chain, told: list[dict[str, Any]], tmp_path: Path
) -> None:
    corpus = write_jsonl(tmp_path / "bad.jsonl", [{"text": "private words"}] * 3)
    failing = Chain(corpus, tmp_path / "workspace", chain.environment)
    done = failing.try_("ingest", str(corpus), *QUICK, "--notify.block", BLOCK)
    assert done.returncode == 1, done.stderr
    [message] = [each for each in told if "failed" in each["subject"]]
    assert message["subject"] == "corpusmith: pipeline-workspace failed"
    assert "CorpusError" in message["body"]
    assert "/runs/flow-run/" in message["body"]
    assert "private" not in message["body"]
    [run] = failing.answer("status")["runs"]
    assert (run["state"], run["num_stages"]) == ("failed", 0)


def test_a_run_reports_to_the_servers_it_is_given(chain: Chain, answer: dict[str, Any]) -> None:
    [pipeline] = flow_runs(chain, "pipeline")
    assert pipeline["id"] == answer["prefect"]["flow_run_id"]
    assert pipeline["state"]["type"] == "COMPLETED"
    assert pipeline["parameters"]["config"]["vocab"]["vocab_size"] == 512
    [stage] = flow_runs(chain, "vocab")
    assert stage["parameters"]["corpus"]["path"] == answer["artifacts"]["ingest"]["path"]
    assert answer["mlflow"]["tracking_uri"] == chain.environment["MLFLOW_TRACKING_URI"]
    assert answer["mlflow"]["experiment"] == "team"
    own = chain.workspace / "state"
    assert not (own / "prefect" / "prefect.db").exists()
    assert not (own / "mlflow.db").exists()


def test_each_page_leads_to_the_one_beside_it(
    chain: Chain, answer: dict[str, Any], client: MlflowClient, servers: dict[str, str]
) -> None:
    parent = client.get_run(answer["mlflow"]["run_id"])
    runs = {"pipeline": parent} | nested_runs(client, parent)
    assert set(runs) == {"pipeline", *answer["artifacts"]}
    for name, run in runs.items():
        [flow_run] = flow_runs(chain, name)
        assert run.data.tags["prefect.flow_run_id"] == flow_run["id"]
        page = f"{servers['prefect']}/runs/flow-run/{flow_run['id']}"
        assert run.data.tags["prefect.flow_run_url"] == page
        key = "mlflow-run" if name == "pipeline" else f"{name}-mlflow-run"
        there = f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
        assert f"({servers['mlflow']}{there})" in shown(chain, flow_run)[key]["data"]


def test_every_stage_shows_what_it_made(chain: Chain, answer: dict[str, Any]) -> None:
    for name, made in answer["artifacts"].items():
        [flow_run] = flow_runs(chain, name)
        pages = shown(chain, flow_run)
        assert pages[f"{name}-progress"]["data"] == 100
        assert pages[f"{name}-summary"]["type"] == "markdown"
        assert made["path"] in pages[f"{name}-summary"]["data"]
        rows = json.loads(pages[f"{name}-metrics"]["data"])
        assert {f"{name}/{row['measure']}": row["value"] for row in rows} == {
            metric: value
            for metric, value in answer["metrics"].items()
            if metric.split("/")[0] == name
        }


def test_runs_can_be_compared_and_tell_of_which_data_they_are(
    answer: dict[str, Any], client: MlflowClient
) -> None:
    parent = client.get_run(answer["mlflow"]["run_id"])
    assert parent.info.status == "FINISHED"
    assert answer["metrics"].items() <= parent.data.metrics.items()
    read, made = (
        {(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs}
        for run in (nested_runs(client, parent)["pretrain"], parent)
    )
    corpus = ("corpus", answer["artifacts"]["ingest"]["content_id"])
    assert read == {corpus}
    assert made == {corpus, ("embeddings", answer["artifacts"]["export"]["content_id"])}
    [data] = [
        each.dataset for each in parent.inputs.dataset_inputs if each.dataset.name == "corpus"
    ]
    assert (
        json.loads(data.profile)["num_train_documents"]
        == (answer["metrics"]["ingest/num_train_documents"])
    )


def test_the_champion_has_a_card_a_signature_an_example_and_its_scores(
    answer: dict[str, Any], client: MlflowClient
) -> None:
    champion = client.get_model_version_by_alias("corpusmith-embedder", "champion")
    assert champion.run_id == answer["mlflow"]["run_id"]
    for part in ("Data", "Vocabulary", "Scores on the test split", "Limits", "Probes", "Lineage"):
        assert f"## {part}" in champion.description
    [model] = client.search_logged_models([client.get_run(champion.run_id).info.experiment_id])
    recall = {each.key: each for each in model.metrics}["evaluate/half_document_recall_at_1"]
    assert recall.value == answer["metrics"]["evaluate/half_document_recall_at_1"]
    assert recall.dataset_digest == answer["artifacts"]["ingest"]["content_id"]
    folder = Path(champion.source.removeprefix("file://"))
    assert (folder / "README.md").read_text() == champion.description
    signature = yaml.safe_load((folder / "MLmodel").read_text())["signature"]
    assert json.loads(signature["inputs"]) == [{"type": "string", "required": True}]
    [vectors] = json.loads(signature["outputs"])
    assert vectors["tensor-spec"]["shape"] == [-1, answer["metrics"]["export/dim"]]
    assert len(json.loads((folder / "input_example.json").read_text())) == 2


def test_people_are_told_of_a_new_release(
    answer: dict[str, Any], told: list[dict[str, Any]]
) -> None:
    [message] = [each for each in told if "release" in each["subject"]]
    assert message["subject"] == "corpusmith: release 1 is published"
    assert message["token"] == SECRET
    assert answer["run_id"] in message["body"]
    assert answer["mlflow"]["run_id"] in message["body"]
    assert SECRET not in message["body"]
