"""Deployments and workers: a real Prefect server and a real worker, both shared by the tests.

The order matters: what must happen without a worker comes before the worker is started.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.cli import Terminated, _terminate
from flows.config import WorkersConfig
from flows.deploy import _active, _deployments, _switch_on
from flows.elsewhere import _run, refuse_undeployed
from flows.graph import StageName
from flows.ui import start_ui
from model.errors import CorpusmithError, RequestError
from tasks.store.artifact import ArtifactRef, artifact_path
from tests.contracts.code import PACKAGES, ROOT
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import LABEL, QUICK, Chain, plain

pytestmark = pytest.mark.slow

START_S = 180.0
BUSY_TRIES = 5
SENT: tuple[StageName, ...] = ("pretrain", "tune", "export")
TO_POOL = ("--workers.gpu-stages", "gpu")


def reference(stage: str) -> dict[str, str]:
    """A reference to nothing, for runs that no worker takes."""
    nowhere = {"input_id": "0" * 32, "content_id": "0" * 32, "path": artifact_path(stage, "0" * 32)}
    return ArtifactRef(stage=stage, **nowhere).model_dump(mode="json")


PARAMETERS = {"config": {}, "vocabulary": reference("vocab"), "tokens": reference("tokenize")}


class Api:
    """Prefect's API, asked without Prefect."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        request = urllib.request.Request(
            f"{self.url}{path}",
            json.dumps(body or {}).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        for _ in range(BUSY_TRIES):
            with (
                contextlib.suppress(urllib.error.HTTPError),
                urllib.request.urlopen(request) as answer,
            ):
                return json.loads(answer.read() or "null")
            time.sleep(1)  # its database is busy: Prefect's own client would ask again, too
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or "null")

    def deployments(self) -> dict[str, dict[str, Any]]:
        flows = {flow["id"]: flow["name"] for flow in self.ask("/flows/filter")}
        found = self.ask("/deployments/filter")
        return {f"{flows[each['flow_id']]}/{each['name']}": each for each in found}

    def sent(self, name: str) -> list[dict[str, Any]]:
        """The runs of a stage's deployment, the newest first."""
        deployment = {"id": {"any_": [self.deployments()[name]["id"]]}}
        asked = {"deployments": deployment, "sort": "EXPECTED_START_TIME_DESC"}
        found: list[dict[str, Any]] = self.ask("/flow_runs/filter", asked)
        return found

    def wait_for(self, state: str, name: str, seconds: float = 120) -> dict[str, Any]:
        """The newest run of a deployment, as soon as it is in that state."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = self.sent(name)
            if runs and runs[0]["state"]["type"] == state:
                return runs[0]
            time.sleep(0.2)
        raise AssertionError(f"{name} is not {state}: {self.sent(name)}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[Api]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # so that none is started
        addresses, started = start_ui(folder / "server", prefect_port=0)
    [server] = started
    try:
        server.wait_until_ready(START_S)
        yield Api(f"{addresses['prefect']}/api")
    finally:
        server.stop()


@pytest.fixture
def prefect_settings(api: Api) -> Iterator[None]:
    """This process talks to the server, too."""
    with temporary_settings({PREFECT_API_URL: api.url}):
        yield


@pytest.fixture(scope="module")
def chain(folder: Path, api: Api) -> Chain:
    corpus = write_jsonl(folder / "topics.jsonl", topic_documents(60))
    return Chain(corpus, folder / "workspace", {"PREFECT_API_URL": api.url})


@pytest.fixture(scope="module")
def installed(folder: Path) -> Path:
    """The packages as an installation has them, and nothing of the repository beside."""
    site = folder / "site"
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, site / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return site


@pytest.fixture(scope="module")
def deployed(chain: Chain, installed: Path, folder: Path) -> dict[str, Any]:
    """What ``corpusmith deploy`` says where only the package is installed."""
    done = subprocess.run(
        chain.command("deploy", "/data/tickets", "--json"),
        cwd=folder,
        env=plain() | chain.environment | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def worker(deployed: dict[str, Any], chain: Chain, folder: Path) -> Iterator[None]:
    """One worker, which serves what would be two pools: pipelines are moved to its own."""
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [*(sys.executable, "-m", "prefect", "worker", "start"), *("--pool", "gpu"), "-l", "2"],
            cwd=folder,
            env=plain()
            | chain.environment
            | {"PYTHONPATH": str(ROOT), "PREFECT_WORKER_QUERY_SECONDS": "1"},
            stdout=log,
            stderr=log,
        )
    yield
    process.terminate()
    process.wait(60)


def test_what_is_deployed_names_no_folder_and_runs_nothing_by_itself(
    api: Api, deployed: dict[str, Any], installed: Path, chain: Chain
) -> None:
    found = api.deployments()
    assert sorted(found) == [each["name"] for each in deployed["deployments"]]
    assert {f"{name}/gpu" for name in SENT} < set(found)
    for name, each in found.items():
        assert each["entrypoint"].startswith("flows."), name
        assert (each["path"], each["pull_steps"]) == (None, [])
        assert each["work_pool_name"] == ("gpu" if name.endswith("/gpu") else "cpu")
        assert each["parameters"]["workspace"] == str(chain.workspace)
        text = json.dumps(each).replace(str(chain.workspace), "")
        assert str(installed.parent) not in text
        assert str(ROOT) not in text
    plans = [plan for each in found.values() for plan in each["schedules"]]
    assert len(plans) == 2
    assert not any(plan["active"] for plan in plans)
    assert all(plan["schedule"]["timezone"] == "Europe/Berlin" for plan in plans)
    config = found["pipeline/smoke"]["parameters"]["config"]
    assert config["ingest"] == {"test_frac": 0.2, "paths": ["/data/tickets"]}


def test_schedules_that_were_on_are_switched_on_again(
    api: Api, deployed: dict[str, Any], prefect_settings: None
) -> None:
    small = api.deployments()["pipeline/small"]
    [plan] = small["schedules"]
    place = f"/deployments/{small['id']}/schedules/{plan['id']}"
    with get_client(sync_client=True) as client:
        api.ask(place, {"active": True}, "PATCH")
        switched_on = _active(_deployments(client))
        api.ask(place, {"active": False}, "PATCH")
        assert not _active(_deployments(client))
        _switch_on(client, switched_on)
        assert _active(_deployments(client)) == {("pipeline/small", "weekly")}
    api.ask(place, {"active": False}, "PATCH")


def test_a_stage_of_a_pool_without_deployments_is_refused_at_once(
    api: Api, deployed: dict[str, Any], prefect_settings: None
) -> None:
    refuse_undeployed(WorkersConfig(gpu_stages="gpu"), SENT)
    with pytest.raises(RequestError, match="no deployment pretrain/gpus: `corpusmith deploy`"):
        refuse_undeployed(WorkersConfig(gpu_stages="gpus"), SENT)


def test_where_no_worker_comes_the_pipeline_is_told(
    api: Api, deployed: dict[str, Any], prefect_settings: None
) -> None:
    impatient = WorkersConfig(gpu_stages="gpu", deadline_s=0.1)
    with pytest.raises(
        CorpusmithError, match=r"no worker of the pool gpu took it within 0\.1 s \(0 "
    ):
        _run("pretrain", PARAMETERS, impatient, {"corpusmith"})
    assert [run["state"]["type"] for run in api.sent("pretrain/gpu")] == ["CANCELLED"]


def test_sigterm_while_it_waits_cancels_what_was_sent(
    api: Api, deployed: dict[str, Any], prefect_settings: None
) -> None:
    def end_us() -> None:
        api.wait_for("SCHEDULED", "pretrain/gpu")
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, _terminate)
    killer = threading.Thread(target=end_us)
    killer.start()
    try:
        with pytest.raises(Terminated):
            _run("pretrain", PARAMETERS, WorkersConfig(gpu_stages="gpu"), {"corpusmith"})
    finally:
        signal.signal(signal.SIGTERM, before)
        killer.join()
    states = [run["state"]["type"] for run in api.sent("pretrain/gpu")]
    assert states == ["CANCELLED", "CANCELLED"]


def test_stages_come_back_from_the_pool(
    api: Api, worker: None, chain: Chain, installed: Path
) -> None:
    shutil.rmtree(installed)  # the worker has its own
    answer = chain.run("export", *TO_POOL)
    reused = {name: made["reused"] for name, made in answer["artifacts"].items()}
    assert not any(reused.values())
    pipeline = answer["mlflow"]["run_id"]
    client = MlflowClient(answer["mlflow"]["tracking_uri"])
    [experiment] = [each for each in client.search_experiments() if each.name == "corpusmith"]
    for name in SENT:
        run = api.sent(f"{name}/gpu")[0]
        assert run["state"]["type"] == "COMPLETED"
        assert run["parent_task_run_id"], "shown below the pipeline's run"
        below = f"tags.`prefect.flow_run_id` = '{run['id']}'"
        tracked = client.search_runs([experiment.experiment_id], below)
        assert pipeline in [each.data.tags["mlflow.parentRunId"] for each in tracked]
    assert answer["metrics"]["pretrain/num_steps"] == 24


def test_what_prefect_cancels_cancels_its_stages(api: Api, worker: None, chain: Chain) -> None:
    small = api.deployments()["pipeline/small"]
    api.ask(f"/deployments/{small['id']}", {"work_pool_name": "gpu"}, "PATCH")
    options = iter([*QUICK, *LABEL, *TO_POOL, "--pretrain.max-steps", "100000"])
    config: dict[str, dict[str, Any]] = {"ingest": {"paths": [str(chain.corpus)]}}
    for option, value in zip(options, options, strict=True):
        section, key = option.removeprefix("--").replace("-", "_").split(".")
        config.setdefault(section, {})[key] = int(value) if value.isdigit() else value
    parameters = {"config": config, "workspace": str(chain.workspace)}
    run = api.ask(f"/deployments/{small['id']}/create_flow_run", {"parameters": parameters})
    api.wait_for("RUNNING", "pretrain/gpu")
    cancelling = {"state": {"type": "CANCELLING"}}
    api.ask(f"/flow_runs/{run['id']}/set_state", cancelling)
    api.wait_for("CANCELLED", "pretrain/gpu")
    api.wait_for("CANCELLED", "pipeline/small")
