"""Pages that quote documents reach MLflow while a stage runs, and do not pile up."""

from pathlib import Path

from tasks.tracking.examples import Examples, remove_sent
from tests.tasks.tracking.conftest import Open
from tests.tasks.tracking.history import client_of, run_named


def pages(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "examples").glob("*/*"))


def test_a_page_arrives_while_the_stage_runs_and_the_newest_stays(
    state: Path, tracked: Open
) -> None:
    tracker = tracked("run-1")
    with tracker.stage("pretrain", {}) as track:
        examples = Examples(state, "run-1", track)
        examples.show("guesses.html", "<p>after 10 steps: é</p>")
        assert tracker.about["run_id"]
        tracker._sender.wait_for(lambda: not tracker._delivery.num_waiting, 30)
        run_id = run_named(client_of(state), "pretrain").info.run_id
        kept = state / "mlartifacts" / run_id / "artifacts" / "guesses.html"
        assert kept.read_text("utf-8") == "<p>after 10 steps: é</p>"
        examples.show("guesses.html", "<p>after 20 steps</p>")
    tracker.close()
    assert kept.read_text("utf-8") == "<p>after 20 steps</p>"
    assert pages(state) == ["guesses.html"]
    remove_sent(state)
    assert pages(state) == []
    remove_sent(state)


def test_pages_of_a_run_that_is_not_sent_yet_stay(state: Path, tracked: Open) -> None:
    tracker = tracked("run-2")
    with tracker.stage("pretrain", {}) as track:
        Examples(state, "run-2", track).show("guesses.html", "text")
        remove_sent(state)
        assert pages(state) == ["guesses.html"]
