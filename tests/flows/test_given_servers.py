"""A run that is told where Prefect and MLflow are: real servers, and nothing of its own beside."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from flows.ui import start_ui
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import Chain

pytestmark = pytest.mark.slow

START_S = 180.0


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The addresses of an MLflow and a Prefect server that others share."""
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)
    addresses, started = start_ui(tmp_path / "shared", mlflow_port=0, prefect_port=0)
    try:
        for server in started:
            server.wait_until_ready(START_S)
        yield addresses
    finally:
        for server in started:
            server.stop()


def flow_runs(api: str, name: str) -> list[dict[str, Any]]:
    """The runs of the flow of that name, as the server tells them."""
    asked = json.dumps({"flows": {"name": {"any_": [name]}}}).encode()
    request = urllib.request.Request(
        f"{api}/flow_runs/filter", asked, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_a_run_reports_to_the_servers_it_is_given(tmp_path: Path, servers: dict[str, str]) -> None:
    api = f"{servers['prefect']}/api"
    chain = Chain(
        write_jsonl(tmp_path / "topics.jsonl", topic_documents(60)),
        tmp_path / "workspace",
        {
            "PREFECT_API_URL": api,
            "MLFLOW_TRACKING_URI": servers["mlflow"],
            "MLFLOW_EXPERIMENT_NAME": "team",
        },
    )
    answer = chain.run("vocab")
    [pipeline] = flow_runs(api, "pipeline")
    assert pipeline["id"] == answer["prefect"]["flow_run_id"]
    assert pipeline["state"]["type"] == "COMPLETED"
    assert pipeline["parameters"]["config"]["vocab"]["vocab_size"] == 512
    [stage] = flow_runs(api, "vocab")
    assert stage["parameters"]["corpus"]["path"] == answer["artifacts"]["ingest"]["path"]
    assert answer["mlflow"]["tracking_uri"] == servers["mlflow"]
    assert answer["mlflow"]["experiment"] == "team"
    run = MlflowClient(servers["mlflow"]).get_run(answer["mlflow"]["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["vocab/vocab_size"] == answer["metrics"]["vocab/vocab_size"]
    own = chain.workspace / "state"
    assert not (own / "prefect" / "prefect.db").exists()
    assert not (own / "mlflow.db").exists()
