import json
from pathlib import Path
from typing import Any

import pytest

from model.errors import ArtifactError, CorpusmithError, RequestError, TrainingError
from tasks.pretrain.events import EventWriter, Follower, ended_by_error, error_of
from tasks.store.errors import FormatError
from tests.tasks.chain import Listener


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.touch()
    return path


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def follower(path: Path, listener: Listener) -> Follower:
    return Follower(path, listener)


class InOrder(Listener):
    """Keeps what it hears in one list."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if name not in ("metrics", "progress", "message", "warning", "table", "example"):
            return super().__getattribute__(name)
        return lambda *args, **named: self.heard.append((name, args, named))


def test_everything_arrives_in_order(path: Path) -> None:
    writer, listener = EventWriter(path), InOrder()
    follower = Follower(path, listener)
    writer.message("begins\nhere, ümlaut")
    writer.metrics({"train_loss": 0.1 + 0.2}, step=10)
    writer.progress(10, 20, "steps")
    follower.deliver()
    writer.warning("look")
    writer.metrics({"final": 1.0})
    writer.table("rows", [{"a": 1}])
    writer.example("page.html", "<p>text</p>")
    follower.deliver()
    follower.deliver()
    assert listener.heard == [
        ("message", (), {"text": "begins\nhere, ümlaut"}),
        ("metrics", ({"train_loss": 0.1 + 0.2},), {"step": 10}),
        ("progress", (), {"done": 10, "total": 20, "unit": "steps"}),
        ("warning", (), {"text": "look"}),
        ("metrics", ({"final": 1.0},), {"step": None}),
        ("table", (), {"name": "rows", "rows": [{"a": 1}]}),
        ("example", (), {"name": "page.html", "text": "<p>text</p>"}),
    ]


def test_half_a_line_waits_for_its_other_half(
    path: Path, follower: Follower, listener: Listener
) -> None:
    line = json.dumps({"kind": "message", "text": "whole"}).encode() + b"\n"
    for byte in range(len(line)):
        with path.open("ab") as file:
            file.write(line[byte : byte + 1])
        assert listener.messages == []
        if byte < len(line) - 1:
            follower.deliver()
    follower.deliver()
    assert listener.messages == ["whole"]


def test_half_a_line_of_a_killed_process_is_left_out(
    path: Path, follower: Follower, listener: Listener
) -> None:
    EventWriter(path).message("before")
    with path.open("ab") as file:
        file.write(b'{"kind": "message", "te')
    follower.deliver()
    EventWriter(path).message("after")
    follower.deliver()
    assert listener.messages == ["before", "after"]


def test_steps_that_repeat_are_told_once(
    path: Path, follower: Follower, listener: Listener
) -> None:
    """Validation falls behind training: each measure counts for itself."""
    first, second = EventWriter(path), EventWriter(path)
    first.started(0, 0)
    for step in (10, 20, 30):
        first.metrics({"train_loss": float(step)}, step=step)
        first.progress(step, 40, "steps")
    first.metrics({"validation_loss": 20.0}, step=20)
    second.started(10, 1)
    for step in (20, 30, 40):
        second.metrics({"train_loss": float(step), "validation_loss": float(step)}, step=step)
        second.progress(step, 40, "steps")
    follower.deliver()
    assert listener.measured == [
        (10, {"train_loss": 10.0}),
        (20, {"train_loss": 20.0}),
        (30, {"train_loss": 30.0}),
        (20, {"validation_loss": 20.0}),
        (30, {"validation_loss": 30.0}),
        (40, {"train_loss": 40.0, "validation_loss": 40.0}),
    ]
    assert [done for done, _, _ in listener.seen] == [10, 20, 30, 40]
    assert follower.resumed_from_step == 0
    assert follower.step == 40


def test_steps_after_going_back_without_a_restart_are_told(
    path: Path, follower: Follower, listener: Listener
) -> None:
    writer = EventWriter(path)
    writer.started(0, 0)
    for step in (10, 20, 20):
        writer.metrics({"train_loss": 1.0}, step=step)
    follower.deliver()
    assert [step for step, _ in listener.measured] == [10, 20, 20]


def test_a_restart_is_a_warning_with_its_reason(
    path: Path, follower: Follower, listener: Listener
) -> None:
    writer = EventWriter(path)
    writer.started(0, 0)
    writer.failure(1, RuntimeError("connection closed\nby peer"))
    writer.failure(0, RuntimeError("another"))
    writer.started(5, 1)
    writer.started(7, 2)
    follower.deliver()
    assert "rank 1: RuntimeError: connection closed)" in listener.warnings[0]
    assert "after step 5" in listener.warnings[0]
    assert "ended from outside" in listener.warnings[1]
    assert follower.failures == []


def test_the_end_is_told(path: Path, follower: Follower) -> None:
    writer = EventWriter(path)
    follower.deliver()
    assert follower.finished is None
    writer.finished({"tokens_per_second": 5.0})
    follower.deliver()
    assert follower.finished == {"tokens_per_second": 5.0}
    assert not ended_by_error(path)


@pytest.mark.parametrize("error_type", [TrainingError, RequestError, ArtifactError, FormatError])
def test_an_error_keeps_its_class_and_words(
    path: Path, follower: Follower, error_type: type[CorpusmithError]
) -> None:
    EventWriter(path).error(error_type("what, where, what to do"))
    EventWriter(path).error(TrainingError("an echo"))
    follower.deliver()
    assert type(follower.error) is error_type
    assert str(follower.error) == "what, where, what to do"
    assert ended_by_error(path)


def test_an_unknown_class_is_an_error_of_ours_all_the_same() -> None:
    assert type(error_of("SystemExit", "text")) is CorpusmithError


def test_a_file_that_is_not_there_yet_tells_nothing(tmp_path: Path, listener: Listener) -> None:
    Follower(tmp_path / "events.jsonl", listener).deliver()
    assert listener == Listener()
