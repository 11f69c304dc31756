"""A real tracking server that comes late, goes away and comes back."""

import time
from pathlib import Path

import pytest

from tasks.tracking import replay
from tests.faults.table import Table
from tests.tasks.tracking.conftest import MlflowServer, Open
from tests.tasks.tracking.history import client_of, history, run_named

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def at_the_server(mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    address = mlflow_server.uri.replace("http://", "http://me:hunter2@")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "shared")


def test_a_run_without_its_server_is_sent_later(
    mlflow_server: MlflowServer, tracked: Open, state: Path, warnings: list[str], tmp_path: Path
) -> None:
    mlflow_server.kill()
    note = tmp_path / "note.txt"
    note.write_text("kept")
    started = time.monotonic()
    tracker = tracked("early", params={"seed": 1})
    with tracker.stage("tune", {"steps": 3}) as track:
        for step in range(100):
            track.metrics({"loss": step / 2}, step=step)
        track.artifact(note)
    assert time.monotonic() - started < 1.0
    tracker.close()
    assert time.monotonic() - started < 20.0
    assert tracker.about == {
        "tracking_uri": mlflow_server.uri,
        "experiment": "shared",
        "run_id": None,
    }
    assert len(warnings) == 1
    assert str(state / "spool" / "early.jsonl") in warnings[0]
    assert "hunter2" not in warnings[0] + (state / "spool" / "early.jsonl").read_text()

    mlflow_server.start()
    assert replay(state) == 0
    assert list((state / "spool").iterdir()) == []
    client = client_of(mlflow_server.uri)
    parent, stage = (run_named(client, name, "shared") for name in ("early", "tune"))
    assert (parent.info.status, stage.info.status) == ("FINISHED", "FINISHED")
    assert parent.info.end_time < stage.info.end_time + 10_000  # when it was, not when it was sent
    assert (parent.data.params, stage.data.params) == ({"seed": "1"}, {"tune.steps": "3"})
    assert history(client, stage, "tune/loss") == [(step, step / 2) for step in range(100)]
    assert [file.path for file in client.list_artifacts(stage.info.run_id)] == ["note.txt"]


@pytest.mark.faults
def test_a_server_killed_in_the_middle_gets_every_metric_once_and_in_order(
    mlflow_server: MlflowServer, tracked: Open, warnings: list[str], table: Table
) -> None:
    mlflow_server.start()
    tracker = tracked("through-thick-and-thin")
    client = client_of(mlflow_server.uri)
    with tracker.stage("probe", {}) as track:
        for step in range(300):
            track.metrics({"loss": float(step), "other": -step}, step=step)
            time.sleep(0.003)  # so that it dies among the batches
            if step == 150:
                assert tracker.about["run_id"]
                mlflow_server.kill()
        mlflow_server.start()
        for step in range(300, 400):
            track.metrics({"loss": float(step), "other": -step}, step=step)
    tracker.close()
    assert [line for line in warnings if "does not answer" not in line] == []
    stage = run_named(client, "probe", "shared")
    assert stage.info.status == "FINISHED"
    assert history(client, stage, "probe/loss") == [(step, step) for step in range(400)]
    assert history(client, stage, "probe/other") == [(step, -step) for step in range(400)]
    killed = "MLflow's server: SIGKILL, then started again"
    table.add(killed, "a stage", "every number once and in order")
