"""Pages that quoted erased documents are replaced in the tracker, and models are marked there."""

from pathlib import Path

import pytest

from tasks.tracking.erased import LEARNED_TAG, erase_from_tracker
from tests.tasks.evaluate.folders import write_embedder
from tests.tasks.tracking.conftest import Open
from tests.tasks.tracking.history import client_of, run_named

PAGES = {"report.html": "nothing is quoted here"}


def test_pages_are_replaced_and_models_marked(state: Path, tracked: Open, tmp_path: Path) -> None:
    embedder = write_embedder(tmp_path / "embedder")
    tracker = tracked("run-1", tags={"corpusmith.run_id": "run-1"})
    for stage, content_id in (("vocab", "11"), ("probe", "22"), ("evaluate", "33")):
        page = tmp_path / stage / "report.html"
        page.parent.mkdir()
        page.write_text(f"a secret of {stage}")
        (page.parent / "scores.txt").write_text(f"numbers of {stage}")
        with tracker.stage(stage, {}) as track:
            track.tag("corpusmith.content_id", content_id)
            track.artifact(page)
            track.artifact(page.parent / "scores.txt")
    for content_id in ("aa", "bb"):
        tracker.register_embedder(embedder, "embedder", {"content_id": content_id})
    tracker.close()

    done = erase_from_tracker(
        state, content_ids=["11", "22"], run_ids=[], learned=["aa"], pages=PAGES
    )
    assert (done.num_pages, done.num_models, done.problem) == (2, 1, None)
    kept = sorted(path.read_text() for path in (state / "mlartifacts").rglob("report.html"))
    assert kept == ["a secret of evaluate", *[PAGES["report.html"]] * 2]
    assert len(list((state / "mlartifacts").rglob("scores.txt"))) == 3
    versions = client_of(state).search_model_versions("name = 'embedder'")
    marked = {each.tags["corpusmith.content_id"]: LEARNED_TAG in each.tags for each in versions}
    assert marked == {"aa": True, "bb": False}

    again = erase_from_tracker(
        state, content_ids=[], run_ids=["run-1"], learned=["aa"], pages=PAGES
    )
    assert again.num_pages == 3  # of a run that ended early, all its stages
    [version] = [each for each in versions if each.tags["corpusmith.content_id"] == "aa"]
    described = client_of(state).get_model_version("embedder", version.version).description
    assert (described or "").count("erased since") == 1


def test_deleted_runs_are_reached_and_every_page_of_models(
    state: Path, tracked: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = write_embedder(tmp_path / "embedder")
    page = tmp_path / "report.html"
    page.write_text("a secret")
    tracker = tracked("run-1", tags={"corpusmith.run_id": "run-1"})
    with tracker.stage("probe", {}) as track:
        track.tag("corpusmith.content_id", "22")
        track.artifact(page)
    for content_id in ("aa", "bb"):
        tracker.register_embedder(embedder, "embedder", {"content_id": content_id})
    tracker.close()
    client = client_of(state)
    client.delete_run(run_named(client, "probe").info.run_id)
    monkeypatch.setattr("tasks.tracking.erased._PAGE_SIZE", 1)
    done = erase_from_tracker(
        state, content_ids=["22"], run_ids=[], learned=["aa", "bb"], pages=PAGES
    )
    assert (done.num_pages, done.num_models, done.problem) == (1, 2, None)
    [kept] = (state / "mlartifacts").rglob("report.html")
    assert kept.read_text() == PAGES["report.html"]


def test_a_tracker_that_is_away_is_a_problem_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:9")
    done = erase_from_tracker(tmp_path, content_ids=["11"], run_ids=[], learned=[], pages=PAGES)
    assert done.location == "http://127.0.0.1:9"
    assert done.problem
    assert "secret" not in done.problem


def test_a_workspace_that_never_tracked_anything_gets_no_tracker(tmp_path: Path) -> None:
    done = erase_from_tracker(tmp_path, content_ids=["11"], run_ids=[], learned=[], pages=PAGES)
    assert (done.num_pages, done.problem) == (0, None)
    assert not list(tmp_path.iterdir())
