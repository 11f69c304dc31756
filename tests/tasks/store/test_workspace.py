"""A workspace that cannot serve is refused before any work, with what is wrong and where."""

import json
import os
from pathlib import Path

import pytest

from model.errors import ArtifactError, RequestError
from tasks.store.workspace import Workspace


def test_opening_makes_the_layout_and_opening_again_keeps_it(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "new" / "workspace")
    (workspace.artifacts / "kept").touch()
    again = Workspace.open(str(tmp_path / "new" / "workspace"))
    assert again == workspace
    names = {path.name for path in workspace.path.iterdir()}
    assert names == {
        "artifacts", "staging", "leases", "quarantine", "runs", "published", "state",
        "workspace.json",
    }  # fmt: skip
    assert [path.name for path in workspace.artifacts.iterdir()] == ["kept"]
    assert not list(workspace.staging.iterdir())


def test_opening_an_existing_one_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there is no workspace at"):
        Workspace.open_existing(tmp_path / "none")
    with pytest.raises(RequestError, match="there is no workspace at"):
        Workspace.open_existing(tmp_path)
    assert not list(tmp_path.iterdir())
    made = Workspace.open(tmp_path / "one")
    assert Workspace.open_existing(tmp_path / "one") == made


@pytest.mark.parametrize("location", ["gs://bucket", "", "  ", "nul\0"])
def test_what_is_no_local_folder_is_refused(location: str) -> None:
    with pytest.raises(RequestError, match="local"):
        Workspace.open(location)


@pytest.mark.parametrize("place", ["", "artifacts", "runs"])
def test_a_file_in_the_way_is_named(tmp_path: Path, place: str) -> None:
    blocked = tmp_path / "workspace" / place if place else tmp_path / "workspace"
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("mine")
    with pytest.raises(RequestError, match="file"):
        Workspace.open(tmp_path / "workspace")
    assert blocked.read_text() == "mine"


def test_a_file_above_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RequestError, match="file"):
        Workspace.open(tmp_path / "file" / "workspace")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder where nobody can write")
def test_a_folder_nobody_can_write_to_is_refused() -> None:
    with pytest.raises(RequestError, match="cannot be written to"):
        Workspace.open("/proc/corpusmith")


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RequestError, match="cannot be written to"):
        Workspace.open(tmp_path / "workspace")


def test_another_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "workspace.json").write_text(json.dumps({"format_version": 99}))
    for opening in (Workspace.open, Workspace.open_existing):
        with pytest.raises(RequestError, match="format 99"):
            opening(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "3"])
def test_a_damaged_format_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "workspace.json").write_text(content)
    with pytest.raises(RequestError, match="damaged"):
        Workspace.open(tmp_path)


def test_a_link_that_leads_in_circles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(RequestError):
        Workspace.open(tmp_path / "loop" / "workspace")


def test_runs_come_back_oldest_first(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    assert list(workspace.runs()) == []
    for number, run_id in enumerate(["zulu", "alpha", "mike"]):
        path = workspace.write_run(run_id, {"run_id": run_id, "metrics": {"é": 0.5}})
        os.utime(path, (1_000 + number, 1_000 + number))
    assert [record["run_id"] for record in workspace.runs()] == ["zulu", "alpha", "mike"]
    assert workspace.runs()[0]["metrics"] == {"é": 0.5}
    assert [record["run_id"] for record in reversed(workspace.runs()[-2:])] == ["mike", "alpha"]


def test_a_damaged_record_is_named_by_whoever_comes_to_it(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    workspace.write_run("old", {"run_id": "old"})
    os.utime(tmp_path / "runs" / "old.json", (1_000, 1_000))
    workspace.write_run("new", {"run_id": "new"})
    for damage, says in (("{", "it is not JSON"), ("[]", "it is no record of a run")):
        (tmp_path / "runs" / "old.json").write_text(damage)
        os.utime(tmp_path / "runs" / "old.json", (1_000, 1_000))
        assert workspace.runs()[-1] == {"run_id": "new"}
        with pytest.raises(ArtifactError, match=rf"old\.json is damaged: {says}"):
            list(workspace.runs())
    (tmp_path / "runs" / "old.json").unlink()
    runs = workspace.runs()
    (tmp_path / "runs" / "new.json").unlink()
    with pytest.raises(ArtifactError, match=r"new\.json cannot be read \(No such.*move it away"):
        list(runs)
