"""What counts as a slow MLflow, and what only as much to do."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tasks.tracking.latency import Latency
from tasks.tracking.location import at, embedded
from tasks.tracking.mlflow_sink import MlflowSink
from tasks.tracking.records import FileKept, RunStarted, Tagged


def test_only_a_server_can_be_slow(tmp_path: Path) -> None:
    """A database is made when it is first asked, which takes seconds."""
    for location in (embedded(tmp_path), at("sqlite:///new.db", tmp_path)):
        latency = Latency.of(location)
        latency._last_s = 3600.0
        assert not latency.is_slow
    latency = Latency.of(at("http://127.0.0.1:1", tmp_path))
    latency._last_s = 3600.0
    assert latency.is_slow


def test_an_upload_takes_its_time_whatever_the_last_answer_took() -> None:
    latency = Latency(slow_s=0.0)
    with latency.asking():
        assert latency.is_slow
    assert latency.is_slow
    with latency.transferring():
        assert not latency.is_slow


def test_each_request_is_timed_by_itself(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start is several requests, and all of them together may take longer than one."""
    latency, asked = Latency(slow_s=60.0), list[tuple[str, float | None]]()

    def note(name: str) -> None:
        ask = getattr(MlflowClient, name)

        def noted(*arguments: Any, **named: Any) -> Any:
            asked.append((name, latency._asked_s))
            assert not latency.is_slow
            return ask(*arguments, **named)

        monkeypatch.setattr(MlflowClient, name, noted)

    sink = MlflowSink(embedded(state), "corpusmith", latency)
    for name in ("search_runs", "create_run", "log_batch", "log_artifact"):
        note(name)
    params = {f"p{number}": str(number) for number in range(250)}
    run_ids: dict[int, str] = {}
    start = RunStarted(run=0, name="r", time_ms=0, tags={}, params=params)
    sink.write([start, Tagged(run=0, key="k", value="v")], run_ids, "run")
    assert [name for name, _ in asked] == ["search_runs", "create_run", *["log_batch"] * 3]
    assert len({since_s for _, since_s in asked} - {None}) == 5
    latency._last_s = 3600.0  # one late answer, and then an upload
    (tmp_path / "note").write_text("kept")
    sink.write([FileKept(run=0, path=str(tmp_path / "note"), folder=None)], run_ids, "run")
    assert asked[5:] == [("log_artifact", None)]
