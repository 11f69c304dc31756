"""What a stage says reaches the terminal and the tracker; text of documents only where allowed."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.logging import disable_run_logger

from flows import reporting
from flows.reporting import StageReporter
from flows.terminal import Terminal
from tasks.tracking.examples import Examples
from tasks.tracking.records import FileKept, Measured, Record
from tasks.tracking.spool import Spool
from tasks.tracking.tracker import StageTrack


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool", "run-1")


@pytest.fixture
def track(spool: Spool) -> StageTrack:
    return StageTrack(spool, 1, "pretrain")


@pytest.fixture(autouse=True)
def no_flow() -> Iterator[None]:
    """Prefect's log belongs to a flow's run, and there is none."""
    with disable_run_logger():
        yield


def terminal(*, is_live: bool = False, width: int = 100) -> Terminal:
    return Terminal(file=io.StringIO(), force_terminal=is_live, width=width, color_system=None)


def shown(console: Terminal) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def told(spool: Spool) -> list[Record]:
    return spool.read(0)[0]


def test_text_of_documents_goes_nowhere_unless_it_may(spool: Spool, track: StageTrack) -> None:
    console = terminal()
    with StageReporter("pretrain", track, console) as report:
        report.example("guesses.html", "secret text")
    assert told(spool) == []
    assert "secret" not in shown(console)
    assert "secret" not in spool.path.read_text()
    assert not (spool.path.parent.parent / "examples").exists()


def test_text_of_documents_is_sent_at_once_where_it_may(spool: Spool, track: StageTrack) -> None:
    examples = Examples(spool.path.parent.parent, "run-1", track)
    with StageReporter("pretrain", track, terminal(), examples) as report:
        report.example("guesses.html", "some text")
        [record] = told(spool)
        assert isinstance(record, FileKept)
        assert Path(record.path).name == "guesses.html"
        assert Path(record.path).read_text() == "some text"


def test_a_page_that_cannot_be_kept_is_told_and_ends_nothing(
    spool: Spool, track: StageTrack, tmp_path: Path
) -> None:
    (tmp_path / "examples").write_text("a file where the folder should be")
    console = terminal()
    with StageReporter("pretrain", track, console, Examples(tmp_path, "run-1", track)) as report:
        report.example("guesses.html", "some text")
    assert "pretrain: guesses.html could not be shown" in shown(console)
    assert told(spool) == []


def test_metrics_go_to_the_tracker_and_into_the_log(
    spool: Spool, track: StageTrack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "LINE_SECONDS", 0.0)
    console = terminal()
    with StageReporter("pretrain", track, console) as report:
        report.metrics({"train_loss": 5.4321, "tokens_per_second": 12345.6}, step=10)
        report.progress(10, 500, "steps")
    [record] = told(spool)
    assert isinstance(record, Measured)
    assert record.values["pretrain/train_loss"] == 5.4321
    assert shown(console) == "pretrain: 10 of 500 steps, loss 5.432, 12,346 tokens/s\n"


def test_lines_of_a_log_are_seconds_apart(track: StageTrack) -> None:
    console = terminal()
    with StageReporter("pretrain", track, console) as report:
        for step in range(100):
            report.progress(step, 500, "steps")
    assert shown(console) == ""


def test_a_terminal_has_one_live_line_that_goes_away(track: StageTrack) -> None:
    console = terminal(is_live=True)
    with StageReporter("pretrain", track, console) as report:
        report.metrics({"train_loss": 5.4321}, step=10)
        report.progress(10, 500, "steps")
        report.message("a line in between")
        report.progress(500, 500, "steps")
    screen = shown(console)
    assert " 10/500 steps  loss 5.432" in screen
    assert "pretrain: a line in between" in screen
    assert screen.endswith("\x1b[1A\x1b[2K")  # up to the line, and cleared
