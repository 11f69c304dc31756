"""A whole run against the SQLite store a workspace brings along."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.tracking import replay
from tasks.tracking.location import embedded
from tasks.tracking.mlflow_sink import MlflowSink
from tasks.tracking.records import Measured, RunStarted
from tests.tasks.tracking.conftest import Open
from tests.tasks.tracking.history import client_of, history, run_named


def test_a_run_is_recorded_whole(state: Path, tracked: Open, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>done</p>")
    tracker = tracked(tags={"corpusmith.run_id": "run-1"}, params={"vocab": {"vocab_size": 512}})
    with tracker.stage("pretrain", {"seed": 7, "pretrain.size": "tiny"}) as track:
        for step in range(40):
            track.metrics({"train_loss": 9.0 - step, "learning_rate": 0.1}, step=step)
        track.metrics({"train_loss": 1.5, "documents": 3})
        track.tag("corpusmith.reused", "false")
        track.dataset("corpus", "ab" * 32, "artifacts/ingest/x", "training")
        track.artifact(report, "reports")
        tracker._load({"system/made_up": 7.0}, 0)
    assert tracker.about["run_id"]  # waits; the machine's load is measured from then on
    tracker.metrics({"evaluate/recall_at_1": 0.25})
    tracker.close("FINISHED")

    client = client_of(state)
    parent, stage = run_named(client, "run-1"), run_named(client, "pretrain")
    assert tracker.about["run_id"] == parent.info.run_id
    assert (parent.info.status, stage.info.status) == ("FINISHED", "FINISHED")
    assert parent.data.tags["corpusmith.run_id"] == "run-1"
    assert parent.data.params == {"vocab.vocab_size": "512"}
    assert stage.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert stage.data.tags["corpusmith.reused"] == "false"
    assert stage.data.params == {"pretrain.seed": "7", "pretrain.size": "tiny"}
    curve = [(step, 9.0 - step) for step in range(40)]
    assert history(client, stage, "pretrain/train_loss") == [*curve, (39, 1.5)]
    final = {name: value for name, value in parent.data.metrics.items() if name[:7] != "system/"}
    assert final == {
        "pretrain/train_loss": 1.5,
        "pretrain/documents": 3.0,
        "evaluate/recall_at_1": 0.25,
    }
    assert "system/cpu_utilization_percentage" in parent.data.metrics
    for run in (parent, stage):
        assert run.data.metrics["system/made_up"] == 7.0  # the machine's load is everyone's
        [used] = run.inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("corpus", ("ab" * 32)[:36])
        assert used.tags[0].value == "training"
    opened = client.get_experiment(parent.info.experiment_id)
    assert opened.tags["mlflow.experimentKind"] == "custom_model_development"
    kept = state / "mlartifacts" / stage.info.run_id / "artifacts" / "reports" / "report.html"
    assert kept.read_text() == "<p>done</p>"
    assert list((state / "spool").iterdir()) == []


@pytest.mark.parametrize(
    ("way_out", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")]
)
def test_a_stage_that_ends_badly_says_so(
    state: Path, tracked: Open, way_out: type[BaseException], status: str
) -> None:
    tracker = tracked()
    with pytest.raises(way_out), tracker.stage("vocab", {}):
        raise way_out
    tracker.close("FAILED")
    assert run_named(client_of(state), "vocab").info.status == status
    assert run_named(client_of(state), "run-1").info.status == "FAILED"


def test_what_mlflow_will_not_take_is_reported(
    state: Path, tracked: Open, warnings: list[str], tmp_path: Path
) -> None:
    tracker = tracked()
    tracker.artifact(tmp_path / "never-written.svg")
    tracker.tag("after", "it")
    tracker.close()
    assert run_named(client_of(state), "run-1").data.tags["after"] == "it"
    assert len(warnings) == 1
    assert "refused 1 record" in warnings[0]
    assert "never-written.svg" in warnings[0]


def test_numbers_beyond_the_finite_do_not_stop_the_others(state: Path, tracked: Open) -> None:
    tracker = tracked()
    tracker.metrics({"pretrain/a": float("nan"), "pretrain/b": float("inf"), "pretrain/c": 1.0})
    tracker.close()
    metrics = run_named(client_of(state), "run-1").data.metrics
    assert metrics["pretrain/a"] != metrics["pretrain/a"]
    assert metrics["pretrain/b"] > 1e300
    assert metrics["pretrain/c"] == 1.0


def test_the_same_records_written_twice_count_once(state: Path) -> None:
    records = [
        RunStarted(run=0, name="twice", tags={}, params={"a": "1"}, time_ms=1000),
        RunStarted(run=1, name="inner", tags={}, params={}, time_ms=1000),
        *(
            Measured(run=1, values={"x/loss": float(step)}, step=step, time_ms=2000 + step)
            for step in range(1200)
        ),
    ]
    for _ in range(2):  # as after a crash: a new connection that knows of no run
        MlflowSink(embedded(state), "corpusmith").write(records, {}, "owner")
    client = client_of(state)
    run_named(client, "twice")  # asserts that there is one
    expected = [(step, float(step)) for step in range(1200)]
    assert history(client, run_named(client, "inner"), "x/loss") == expected


def test_a_run_that_was_killed_is_finished_by_the_next_start(state: Path, tracked: Open) -> None:
    run_for_ever = (
        "import sys, time; from pathlib import Path; from tasks.tracking import open_tracker\n"
        "tracker = open_tracker(Path(sys.argv[1]), experiment='corpusmith', run_id='dead',\n"
        "    run_name='dead', tags={}, params={})\n"
        "with tracker.stage('pretrain', {}) as track:\n"
        "    for step in range(50): track.metrics({'loss': step}, step=step)\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", run_for_ever, str(state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert replay(state) == 0  # its owner lives: nothing of it is touched
        assert (state / "spool" / "dead.jsonl").exists()
        process.send_signal(signal.SIGKILL)
    tracked("alive").close()
    client = client_of(state)
    stage = run_named(client, "pretrain")
    assert history(client, stage, "pretrain/loss") == [(step, step) for step in range(50)]
    assert stage.info.status == run_named(client, "dead").info.status == "KILLED"
    assert run_named(client, "alive").info.status == "FINISHED"
    assert list((state / "spool").iterdir()) == []


def test_a_champion_of_before_is_not_set_by_the_next_start(state: Path, tracked: Open) -> None:
    """The pointer that the alias follows may have moved since; a challenger is still sent."""
    client = client_of(state)
    client.create_registered_model("model")
    for number in ("1", "2"):
        tags = {"corpusmith.release": number}
        client.create_model_version("model", source=state.as_uri(), tags=tags)
    client.set_registered_model_alias("model", "champion", "2")
    killed = (
        "import os, sys; from pathlib import Path; from tasks.tracking import sender\n"
        "sender.BATCH_S = 600\n"
        "from tasks.tracking import open_tracker\n"
        "tracker = open_tracker(Path(sys.argv[1]), experiment='corpusmith', run_id='dead',\n"
        "    run_name='dead', tags={}, params={})\n"
        "tracker.set_champion('model', {'release': '1'})\n"
        "tracker.set_challenger('model', {'release': '1'})\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(state)], check=False)
    assert (state / "spool" / "dead.jsonl").exists()
    assert replay(state) == 0
    for alias, version in (("champion", "2"), ("challenger", "1")):
        found = client.get_model_version_by_alias("model", alias)
        assert str(found.version) == version


def test_an_old_queue_that_cannot_be_sent_stays_and_is_told(
    state: Path, tracked: Open, warnings: list[str]
) -> None:
    damaged = state / "spool" / "old.jsonl"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("no record at all\n")
    tracked("new").close()
    assert damaged.exists()
    assert any("1 earlier runs could again not be sent" in line for line in warnings), warnings
    warnings.clear()  # of them the fixture would complain


def test_a_workspace_that_was_moved_keeps_its_files(
    state: Path, tracked: Open, tmp_path: Path
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("kept")
    first = tracked("first")
    first.artifact(note)
    first.close()
    moved = tmp_path / "moved to #1 é" / "state"
    moved.parent.mkdir()
    state.rename(moved)
    MlflowSink(embedded(moved), "corpusmith")
    client = client_of(moved)
    run_id = run_named(client, "first").info.run_id
    assert Path(client.download_artifacts(run_id, "note.txt")).read_text() == "kept"
    assert not state.exists()


def test_a_deleted_experiment_comes_back(state: Path, tracked: Open) -> None:
    client = client_of(state)
    found = client.get_experiment_by_name("corpusmith")
    assert found is not None
    client.delete_experiment(found.experiment_id)
    tracked().close()
    assert run_named(client, "run-1").info.status == "FINISHED"


def test_a_database_of_ones_own_keeps_files_out_of_the_current_folder(
    state: Path, tracked: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "mlflow.db").rename(tmp_path / "team.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'team.db'}")
    tracker = tracked(experiment="new")
    tracker.artifact(tmp_path / "team.db")
    tracker.close()
    assert tracker.about["tracking_uri"] == f"sqlite:///{tmp_path / 'team.db'}"
    assert list((state / "mlartifacts").rglob("artifacts/team.db"))


@pytest.mark.slow
def test_opening_is_quick_and_all_is_silent(tmp_path: Path) -> None:
    """On a fresh state folder: nothing on either stream, MLflow not yet imported on return."""
    program = (
        "import sys, time; from pathlib import Path; from tasks.tracking import open_tracker\n"
        "started = time.monotonic()\n"
        "tracker = open_tracker(Path(sys.argv[1]), experiment='corpusmith', run_id='r',\n"
        "    run_name='r', tags={}, params={})\n"
        "assert time.monotonic() - started < 1.0\n"
        "tracker.metrics({'a/b': 1}); tracker.close()\n"
        "assert tracker.about['run_id']"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]  # no ./mlruns


def test_a_killed_run_does_not_linger(state: Path, tracked: Open) -> None:
    tracker = tracked()
    started = time.monotonic()
    tracker.close("KILLED")
    tracker.close("KILLED")
    assert time.monotonic() - started < 7.0
