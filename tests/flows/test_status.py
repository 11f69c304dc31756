"""``status`` tells how a workspace stands, from its files alone."""

import datetime
import json
from pathlib import Path

import pytest

from flows.show_status import status as show_status
from flows.status import status_of
from tasks.release.release import Release, render_release
from tasks.store.run_records import begun, ended
from tasks.store.store import Store
from tests.tasks.store.making import Listener, identity_of, make, new_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path, Listener())


def test_an_empty_workspace_has_nothing_to_tell(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = status_of(store.workspace)
    assert (answer["release"], answer["embeddings"], answer["runs"]) == (None, None, [])
    assert answer["disk"]["free_bytes"] > 0
    show_status(answer)
    assert "none yet: `corpusmith run` publishes" in capsys.readouterr().out


def test_runs_are_told_newest_first_with_how_they_ended(store: Store) -> None:
    made = make(store, identity_of("vocab")).ref
    used = {"vocab": made.model_dump() | {"seconds": 2.0, "reused": True}}
    workspace = store.workspace
    workspace.write_run("old", {"run_id": "old", "artifacts": used})
    workspace.write_run("bad", ended(begun("bad", "pipeline"), "failed"))
    workspace.write_run("now", begun("now", "vocab"))
    runs = status_of(workspace)["runs"]
    assert [(run["run_id"], run["flow"], run["state"]) for run in runs] == [
        ("now", "vocab", "running"),
        ("bad", "pipeline", "failed"),
        ("old", "pipeline", "completed"),
    ]
    assert (runs[2]["seconds"], runs[2]["num_stages"], runs[2]["num_reused"]) == (2.0, 1, 1)


def test_the_newest_refresh_is_told_with_its_drift(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = store.workspace
    assert status_of(workspace)["refresh"] is None
    told = {"drift": {"says": "quiet: as ever", "measures": []}, "published": True}
    workspace.write_run("night", ended(begun("night", "refresh") | told, "completed"))
    workspace.write_run("chain", ended(begun("chain", "pipeline"), "completed"))
    answer = status_of(workspace)
    assert answer["refresh"]["run_id"] == "night"
    show_status(answer)
    assert "completed, published; quiet: as ever" in " ".join(capsys.readouterr().out.split())
    workspace.write_run("now", begun("now", "refresh"))
    show_status(status_of(workspace))
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("refresh ")]
    assert line.endswith("running")


def test_stages_tell_what_there_is_and_who_is_at_work(store: Store) -> None:
    artifact = make(store, identity_of("vocab"))
    with store.lease("pretrain", "0" * 32):
        stages = {each["stage"]: each for each in status_of(store.workspace)["stages"]}
    assert stages["vocab"]["newest"] == artifact.ref.path
    assert stages["vocab"]["num_artifacts"] == 1
    assert stages["vocab"]["bytes"] == artifact.manifest.total_bytes
    assert [name for name, each in stages.items() if each["is_working"]] == ["pretrain"]
    assert stages["ingest"]["newest"] is None


def publish(store: Store) -> Release:
    refs = {stage: make(store, identity_of(stage)).ref for stage in ("tune", "export")}
    release = Release(
        id=7,
        embedder=refs["tune"],
        export=refs["export"],
        published_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    store.workspace.current_release.write_bytes(render_release(release))
    return release


def test_the_release_tells_how_old_its_embeddings_are(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    release = publish(store)
    answer = status_of(store.workspace)
    assert answer["release"]["id"] == 7
    assert answer["embeddings"]["path"] == release.export.path
    assert 0 <= answer["embeddings"]["age_s"] < 60
    assert answer["disk"]["parts"]["artifacts"] > 0
    json.dumps(answer)
    show_status(answer)
    shown = capsys.readouterr().out
    assert "release     7, published" in shown
    assert "seconds old" in shown


def test_embeddings_that_are_gone_are_said_to_be(store: Store) -> None:
    release = publish(store)
    (store.workspace.path / release.export.path / "MANIFEST.json").unlink()
    assert "is missing" in status_of(store.workspace)["embeddings"]["problem"]
