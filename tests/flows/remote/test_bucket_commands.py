"""Commands that only look read manifests, also on a machine that has no copy of anything."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.checks.storage import place_of, storage_checks
from flows.commands import command_of
from flows.config import WorkersConfig, load_config
from flows.dask_cluster import dask_workers
from flows.local_server import answers
from flows.parser import parse
from model.errors import ArtifactError, RequestError
from tasks.execute import identify
from tasks.ingest.stage import INGEST
from tasks.release.pointer import publish
from tasks.store.artifact import Artifact
from tests.bucket_fixtures import Shared
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import plain
from tests.flows.test_ui import addresses
from tests.tasks.store.making import identity_of, make

Ask = Callable[..., Any]


@pytest.fixture
def ask(shared: Shared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """The answer of a command, on a machine that only asks."""

    def answer(command: str, *arguments: str) -> Any:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "asking"))
        options = parse([command, *arguments, "--workspace", shared.url])
        return command_of(command).answer(options)

    return answer


@pytest.fixture
def export(shared: Shared) -> Artifact:
    """What one machine has published, and recorded."""
    store = shared.open("maker")
    embedder = make(store, identity_of("tune"), files={"weights": b"1"})
    inputs = {"tune": embedder}
    made = make(store, identity_of("export", inputs), inputs=inputs)
    publish(store.workspace, embedder=embedder.ref, export=made.ref)
    store.workspace.write_run("r", {"run_id": "r", "artifacts": {"export": made.ref.model_dump()}})
    return made


def test_a_look_costs_no_download(
    shared: Shared, ask: Ask, export: Artifact, tmp_path: Path
) -> None:
    status = ask("status")
    assert status["workspace"] == shared.url
    assert [each["stage"] for each in status["artifacts"]] == ["export", "tune"]
    assert status["release"]["id"] == 1
    assert [run["run_id"] for run in status["runs"]] == ["r"]
    assert not any(stage["is_working"] for stage in status["stages"])
    [release] = ask("release", "list")["releases"]
    assert release["present"]
    chain = ask("lineage", f"{shared.url}/{export.ref.path}")["chain"]
    assert [link["stage"] for link in chain] == ["export", "tune"]
    assert ask("verify") == {"artifacts": 2, "problems": [], "erased": []}
    assert ask("gc", "--older-than-days", "0", "--yes")["paths"] == []
    assert not [path for path in (tmp_path / "asking").rglob("*.txt") if path.is_file()]


def test_what_is_published_and_gone_is_said(shared: Shared, ask: Ask, export: Artifact) -> None:
    shared.objects.delete([f"{export.ref.path}/MANIFEST.json"])
    [release] = ask("release", "list")["releases"]
    assert not release["present"]
    with pytest.raises(ArtifactError, match=r"release 1: s3://.* is missing"):
        ask("verify")


def test_plan_knows_what_another_machine_has_made(shared: Shared, ask: Ask, tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "topics.jsonl", topic_documents(4))
    ingest = load_config("smoke", {"ingest": {"paths": [str(corpus)]}}).ingest
    make(shared.open("maker"), identify(INGEST, ingest, {}))
    planned = ask("plan", str(corpus), "--why")
    assert planned["workspace"] == shared.url
    assert [each["action"] for each in planned["stages"]] == ["reuse"] + ["run"] * 7
    changed = ask("plan", str(corpus), "--why", "--ingest.min-words", "9")["stages"]
    assert changed[0]["why"] == ["ingest.min_words: null -> 9"]


def test_the_doctor_tries_the_bucket(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = storage_checks(shared.url)
    assert found["state"] == "ok"
    assert "keeps conditions, holds a workspace" in found["finding"]
    assert shared.names(".probe") == []
    assert place_of(shared.url).is_dir()
    [missing] = storage_checks("s3://no-such-bucket/x")
    assert missing["state"] == "failed"
    assert "there is no such bucket" in missing["finding"]
    assert storage_checks("./workspace") == []


def test_a_command_on_no_workspace_says_so(shared: Shared) -> None:
    options = parse(["status", "--workspace", f"{shared.url}/none"])
    with pytest.raises(RequestError, match=r"there is no workspace at s3://.*/none"):
        command_of("status").answer(options)


def test_dask_workers_elsewhere_are_refused_since_they_see_no_folder(shared: Shared) -> None:
    config = WorkersConfig(dask="tcp://127.0.0.1:1")
    with (
        pytest.raises(RequestError, match=r"is in a bucket: name such a folder, or local:N"),
        dask_workers(config, shared.url),
    ):
        pass


@pytest.mark.slow
@pytest.mark.long
def test_its_pages_show_what_this_machine_has_recorded(
    shared: Shared, export: Artifact, tmp_path: Path
) -> None:
    ports = ["--mlflow-port", "0", "--prefect-port", "0"]
    command = [sys.executable, "-m", "flows", "ui", "--workspace", shared.url, *ports]
    state = tmp_path / "state"
    environment = plain() | {"XDG_STATE_HOME": str(state)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            pages = addresses(process)
            assert answers(f"{pages['mlflow']}/health")
            assert answers(f"{pages['prefect']}/api/health")
        finally:
            process.terminate()
        assert process.wait(30) == 143
    assert [path.name for path in state.rglob("mlflow.db")] == ["mlflow.db"]
    assert not any(name.startswith("state/") for name in shared.names())
