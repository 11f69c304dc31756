"""Deployments and workers: a real Prefect server and a real worker, both shared by the tests.

The order matters: what must happen without a worker comes before the worker is started.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from flows import errand as errands
from flows import pulse, twin
from flows.automations import described, make_automations
from flows.clearing import Unrepeated
from flows.cli import Terminated, terminate
from flows.config import WorkersConfig
from flows.deploy import _active, _deployments, _switch_on
from flows.elsewhere import refuse_undeployed
from flows.errand import NUM_TRIES, Errand, run_errand
from flows.graph import StageName
from model.errors import CorpusmithError, RequestError
from tasks.release.pointer import current
from tasks.store.artifact import ArtifactRef, artifact_path
from tasks.store.workspace import Workspace
from tests.contracts.code import PACKAGES, ROOT
from tests.corpora import topic_documents, write_jsonl
from tests.faults.table import Table
from tests.flows.chain import LABEL, QUICK, Chain, as_config, plain
from tests.flows.prefect_api import Api, process_of, start_server

pytestmark = pytest.mark.slow

START_S = 180.0
SENT: tuple[StageName, ...] = ("pretrain", "tune", "export")
HASTE_S = 10  # instead of minutes; Prefect takes no less
TO_POOL = ("--workers.gpu-stages", "gpu")


def reference(stage: str) -> dict[str, str]:
    """A reference to nothing, for runs that no worker takes."""
    nowhere = {"input_id": "0" * 32, "content_id": "0" * 32, "path": artifact_path(stage, "0" * 32)}
    return ArtifactRef(stage=stage, **nowhere).model_dump(mode="json")


def errand(**workers: Any) -> Errand:
    """A stage that is sent for an artifact nobody has asked for before."""
    pool = WorkersConfig(gpu_stages="gpu", **workers)
    request = f"pretrain-{uuid.uuid4()}"
    return Errand("pretrain", request, PARAMETERS, pool, frozenset({"corpusmith"}), print)


PARAMETERS = {"config": {}, "vocabulary": reference("vocab"), "tokens": reference("tokenize")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[Api]:
    server = start_server(folder / "server")
    try:
        server.wait_until_ready(START_S)
        yield Api(f"{server.url}/api")
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
def worker(
    deployed: dict[str, Any], chain: Chain, folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
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
    yield process
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
    assert len(plans) == 4
    assert not any(plan["active"] for plan in plans)
    assert all(plan["schedule"]["timezone"] == "Europe/Berlin" for plan in plans)
    config = found["pipeline/smoke"]["parameters"]["config"]
    assert config["ingest"] == {"test_frac": 0.2, "paths": ["/data/tickets"]}


@pytest.mark.servers
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
    assert api.wait_for("SCHEDULED", "pipeline/small", 90)["auto_scheduled"]  # it is heeded
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
    with pytest.raises(
        CorpusmithError, match=r"no worker of the pool gpu took it within 0\.1 s \(0 "
    ):
        run_errand(errand(deadline_s=0.1))
    assert [run["state"]["type"] for run in api.sent("pretrain/gpu")] == ["CANCELLED"]


def test_sigterm_while_it_waits_cancels_what_was_sent(
    api: Api, deployed: dict[str, Any], prefect_settings: None
) -> None:
    def end_us() -> None:
        api.wait_for("SCHEDULED", "pretrain/gpu")
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, Unrepeated(terminate))
    killer = threading.Thread(target=end_us)
    killer.start()
    try:
        with pytest.raises(Terminated):
            run_errand(errand())
    finally:
        signal.signal(signal.SIGTERM, before)
        killer.join()
    states = [run["state"]["type"] for run in api.sent("pretrain/gpu")]
    assert states == ["CANCELLED", "CANCELLED"]


def test_what_was_sent_is_found_even_where_sending_was_cut_off(
    api: Api, deployed: dict[str, Any], prefect_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(what: Errand, key: str, *, is_sent: bool) -> NoReturn:
        if is_sent:
            send(what, key)
        raise Terminated

    send = errands._send
    for is_sent in (True, False):
        monkeypatch.setattr(errands, "_send", partial(cut_off, is_sent=is_sent))
        with pytest.raises(Terminated):
            run_errand(errand())
    assert [run["state"]["type"] for run in api.sent("pretrain/gpu")[:2]] == ["CANCELLED"] * 2


def test_what_a_dead_pipeline_sent_is_taken_over_and_not_cancelled_by_it(
    api: Api, deployed: dict[str, Any], prefect_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, key = errand(), str(uuid.uuid4())
    pipeline = f"/deployments/{api.deployments()['pipeline/smoke']['id']}/create_flow_run"
    sender = api.ask(pipeline)["id"]
    monkeypatch.setattr(errands, "flow_run", SimpleNamespace(id=sender))
    sent = errands._send(what, key)
    with get_client(sync_client=True) as client:
        assert errands._left_behind(client, what) is None, "its sender waits for it"
        api.ask(f"/flow_runs/{sender}/set_state", {"state": {"type": "CRASHED"}})
        assert errands._left_behind(client, what) == sent
        assert errands._left_behind(client, errand()) is None
        errands._cancel(client, what, key, sent)
        assert api.sent("pretrain/gpu")[0]["state"]["type"] == "SCHEDULED"
        client.set_flow_run_state(sent, Cancelling())
        assert errands._left_behind(client, what) is None


def test_a_stage_that_crashes_again_and_again_is_given_up(
    api: Api, deployed: dict[str, Any], prefect_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash_all() -> None:
        for _ in range(NUM_TRIES):
            run = api.wait_for("SCHEDULED", "pretrain/gpu")
            api.ask(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CRASHED"}})

    monkeypatch.setattr(errands, "POLL_S", 0.1)
    num_sent = len(api.sent("pretrain/gpu"))
    killer = threading.Thread(target=crash_all)
    killer.start()
    state = run_errand(errand())
    killer.join()
    assert state.is_crashed()
    assert len(api.sent("pretrain/gpu")) == num_sent + NUM_TRIES


def test_heartbeats_that_ended_are_noticed(
    api: Api, deployed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, prefect_settings: None
) -> None:
    run_id = uuid.uuid4()
    resource = {"prefect.resource.id": f"prefect.flow-run.{run_id}"}
    monkeypatch.setattr(pulse, "LOOK_S", 0.0)
    monkeypatch.setattr(pulse, "SILENT_S", 0.0)
    with get_client(sync_client=True) as client:
        watched = pulse.Pulse(client, run_id)
        assert not watched.is_lost(), "it may not have begun"
        emit_event("prefect.flow-run.heartbeat", resource=resource)
        while not watched.is_lost():
            time.sleep(0.1)


def test_automations_are_renewed_in_their_place(
    api: Api, deployed: dict[str, Any], prefect_settings: None
) -> None:
    before = automations(api)
    assert sorted(before) == sorted(deployed["automations"])
    [off, changed] = [before[name] for name in deployed["automations"][:2]]
    written = described()[1]
    with get_client(sync_client=True) as client:
        client.pause_automation(off["id"])
        api.ask("/automations/", {**written, "name": "somebody else's", "enabled": False})
        theirs = automations(api)["somebody else's"]
        api.ask(f"/automations/{changed['id']}", {**written, "description": "old"}, "PUT")
        make_automations(client)
        after = automations(api)
        assert after.pop("somebody else's") == theirs
        assert {name: each["id"] for name, each in after.items()} == {
            name: each["id"] for name, each in before.items()
        }
        assert [name for name, each in after.items() if not each["enabled"]] == [off["name"]]
        assert after[changed["name"]]["description"] == written["description"]
        client.resume_automation(off["id"])
        client.delete_automation(theirs["id"])


@pytest.mark.faults
@pytest.mark.parametrize(
    ("left", "becomes"), [("Pending", "AwaitingRetry"), ("Cancelling", "Cancelled")]
)
def test_what_a_dead_worker_leaves_before_or_after_its_work_is_put_right(
    api: Api, deployed: dict[str, Any], left: str, becomes: str, table: Table
) -> None:
    [minding] = [
        each for each in described() if each["trigger"].get("after") == [f"prefect.flow-run.{left}"]
    ]
    there = automations(api)[minding["name"]]
    hasty = {**minding, "trigger": {**minding["trigger"], "within": HASTE_S}}
    api.ask(f"/automations/{there['id']}", hasty, "PUT")
    try:
        deployment = api.deployments()["pretrain/gpu"]
        run = api.ask(
            f"/deployments/{deployment['id']}/create_flow_run", {"parameters": PARAMETERS}
        )
        api.ask(f"/flow_runs/{run['id']}/set_state", {"state": {"type": left.upper()}})
        assert wait_for_state(api, run["id"], becomes) == becomes
        api.ask(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "CANCELLED"}})
    finally:
        api.ask(f"/automations/{there['id']}", minding, "PUT")
    table.add(f"a worker dies; {left} for good", "a stage sent to a pool", f"becomes {becomes}")


def wait_for_state(api: Api, run_id: str, name: str, seconds: float = 60) -> str:
    """The name of the run's state: the one that is waited for, or what it was to the end."""
    deadline = time.monotonic() + seconds
    while True:
        now: str = api.ask(f"/flow_runs/{run_id}", method="GET")["state"]["name"]
        if now == name or time.monotonic() > deadline:
            return now
        time.sleep(0.2)


def test_of_two_runs_begun_again_for_one_crash_the_younger_gives_way(
    api: Api, deployed: dict[str, Any], prefect_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke = f"/deployments/{api.deployments()['pipeline/smoke']['id']}/create_flow_run"
    wanted: list[dict[str, Any]] = [{}, {}, {"until": "vocab"}]
    runs = [api.ask(smoke, {"parameters": parameters})["id"] for parameters in wanted]

    def twin_of(run_id: str) -> str | None:
        monkeypatch.setattr(twin, "flow_run", SimpleNamespace(id=run_id))
        return twin.older_twin()

    assert [twin_of(run) for run in runs] == [None, None, None], "a first try is never one"
    monkeypatch.setenv("CORPUSMITH_TRY", "2")
    assert [twin_of(run) for run in runs] == [None, runs[0], None]
    for run in runs:
        api.ask(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLED"}})
    assert twin_of(runs[1]) is None


@pytest.mark.servers
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


@pytest.mark.servers
@pytest.mark.timeout(600)
def test_a_worker_refreshes_and_sends_what_is_to_be_embedded(
    api: Api, worker: None, chain: Chain
) -> None:
    settings = (*TO_POOL, "--ingest.test-frac", "0.25")
    before = topic_documents(60)
    first = chain.run("run", *settings)["release"]["id"]
    new = [{**each, "id": f"new-{each['id']}"} for each in topic_documents(5, seed=77)]
    write_jsonl(chain.corpus, [*before, *new])
    config = as_config(chain.corpus, [*QUICK, *LABEL, *TO_POOL])
    config["ingest"]["test_frac"] = 0.25
    start_run(api, "refresh/small", chain, config)
    api.wait_for("COMPLETED", "refresh/small", 400)
    release = current(Workspace.open(chain.workspace))
    assert release is not None
    assert release.id == first + 1
    assert newest_manifest(chain, "export")["information"]["metrics"]["num_embedded"] == len(new)
    assert api.sent("export/gpu")[0]["state"]["type"] == "COMPLETED"


def automations(api: Api) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in api.ask("/automations/filter")}


def newest_manifest(chain: Chain, stage: str) -> dict[str, Any]:
    """Of the artifact that was made last."""
    found = chain.workspace.glob(f"artifacts/{stage}/*/MANIFEST.json")
    newest = max(found, key=lambda path: path.stat().st_mtime)
    manifest: dict[str, Any] = json.loads(newest.read_text("utf-8"))
    return manifest


def start_run(api: Api, name: str, chain: Chain, config: Any, **more: Any) -> dict[str, Any]:
    """A run of a deployment that some pool's worker takes, on the one worker there is."""
    deployment = api.deployments()[name]["id"]
    api.ask(f"/deployments/{deployment}", {"work_pool_name": "gpu"}, "PATCH")
    parameters = {"config": config, "workspace": str(chain.workspace), **more}
    asked = {"parameters": parameters}
    run: dict[str, Any] = api.ask(f"/deployments/{deployment}/create_flow_run", asked)
    return run


def start_pipeline(api: Api, chain: Chain, **settings: dict[str, Any]) -> dict[str, Any]:
    """A run of the pipeline that ends with training."""
    config = as_config(chain.corpus, [*QUICK, *LABEL, *TO_POOL])
    for section, values in settings.items():
        config[section] |= values
    return start_run(api, "pipeline/small", chain, config, until="pretrain")


@pytest.mark.servers
def test_what_prefect_cancels_cancels_its_stages(
    api: Api, worker: "subprocess.Popen[bytes]", chain: Chain
) -> None:
    run = start_pipeline(api, chain, pretrain={"max_steps": 100000})
    api.wait_for("RUNNING", "pretrain/gpu")
    cancelling = {"state": {"type": "CANCELLING"}}
    api.ask(f"/flow_runs/{run['id']}/set_state", cancelling)
    api.wait_for("CANCELLED", "pretrain/gpu")
    api.wait_for("CANCELLED", "pipeline/small")


CHECKPOINTS = "staging/pretrain/*/*/checkpoints/step-*"


@pytest.mark.timeout(900)
@pytest.mark.faults
def test_what_is_killed_runs_again_and_survives_its_worker(
    api: Api, worker: "subprocess.Popen[bytes]", chain: Chain, table: Table
) -> None:
    """First the stage is killed, then the pipeline that waits for it, then the worker of both."""
    num_sent = len(api.sent("pretrain/gpu"))
    old = set(chain.workspace.glob(CHECKPOINTS))
    half_a_minute = {"max_steps": 100000, "max_minutes": 0.5, "checkpoint_minutes": 0.01}
    start_pipeline(api, chain, pretrain=half_a_minute)
    first = api.wait_for("RUNNING", "pipeline/small")
    sent = api.wait_for("RUNNING", "pretrain/gpu")
    while not set(chain.workspace.glob(CHECKPOINTS)) - old:
        time.sleep(0.1)
    process_of(worker.pid, sent["id"]).kill()
    again = api.wait_for("RUNNING", "pretrain/gpu", after=sent["id"])
    process_of(worker.pid, first["id"]).kill()
    second = api.wait_for("RUNNING", "pipeline/small", after=first["id"])
    worker.kill()  # its log was the runs' output
    # Where the server's database was busy it began more than one; then all but one are cancelled.
    deadline_s = time.monotonic() + 240
    while not [
        run
        for run in api.sent("pipeline/small")
        if run["name"].endswith(", try 2") and run["state"]["type"] == "COMPLETED"
    ]:
        assert time.monotonic() < deadline_s
        time.sleep(0.5)
    assert second["parameters"] == first["parameters"]
    assert second["name"] == f"{first['name']}, try 2"
    states = {run["id"]: run["state"]["type"] for run in api.sent("pretrain/gpu")}
    assert len(states) == num_sent + 2
    assert (states[sent["id"]], states[again["id"]]) == ("CRASHED", "COMPLETED")
    metrics = newest_manifest(chain, "pretrain")["information"]["metrics"]
    assert metrics["resumed_from_step"] > 0
    killed = "SIGKILL of the stage, the pipeline and their worker"
    table.add(killed, "pretrain sent to a pool", "begun again; goes on")
