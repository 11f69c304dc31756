"""What training processes tell the process that started them: lines of JSON in a file.

The first rank appends to the file, and the others only where they end the run; the process that
waits for them follows it. Whoever writes may be killed in the middle of a line and be started
again from a checkpoint, whose steps then repeat.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.errors import CorpusmithError
from model.json_files import parse_json
from tasks.stage import Metrics, Reporter


class EventWriter:
    """A `Reporter` that appends what it is told to a file, each event at once.

    Args:
        path: exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end_half_line()

    def started(self, step: int, num_restarts: int) -> None:
        """Training begins after `step`, for the first time or after `num_restarts` failures."""
        self._append("started", step=step, num_restarts=num_restarts)

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """See `Reporter`."""
        self._append("metrics", values=dict(values), step=step)

    def progress(self, done: int, total: int, unit: str) -> None:
        """See `Reporter`."""
        self._append("progress", done=done, total=total, unit=unit)

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """See `Reporter`; the values must be such as JSON has."""
        self._append("table", name=name, rows=[dict(row) for row in rows])

    def example(self, name: str, text: str) -> None:
        """See `Reporter`."""
        self._append("example", name=name, text=text)

    def message(self, text: str) -> None:
        """See `Reporter`."""
        self._append("message", text=text)

    def warning(self, text: str) -> None:
        """See `Reporter`."""
        self._append("warning", text=text)

    def finished(self, values: Metrics) -> None:
        """Training is done; `values` are to be among the stage's final metrics."""
        self._append("finished", values=values)

    def error(self, error: CorpusmithError) -> None:
        """Training cannot go on, and starting again would not help."""
        self._append("error", name=type(error).__name__, text=str(error))

    def failure(self, rank: int, error: BaseException) -> None:
        """A rank fails for a reason that may not be there when it starts again."""
        first_line = str(error).strip().partition("\n")[0]
        self._append("failure", text=f"rank {rank}: {type(error).__name__}: {first_line}")

    def _append(self, kind: str, **values: Any) -> None:
        line = json.dumps({"kind": kind, **values}).encode() + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def _end_half_line(self) -> None:
        with self._path.open("rb+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")


class Silent:
    """A `Reporter` for the ranks that do not speak."""

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        """Drops it."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """Drops it."""

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Drops it."""

    def example(self, name: str, text: str) -> None:
        """Drops it."""

    def message(self, text: str) -> None:
        """Drops it."""

    def warning(self, text: str) -> None:
        """Drops it."""


@dataclass
class Follower:
    """Reads a file of events as it grows and passes them on, each once and in order.

    Steps that repeat after a restart are not told again: a measure or the progress counts only
    beyond the highest step that had been told of it before.

    Attributes:
        path: of the file, which need not exist yet.
        report: who is told.
        resumed_from_step: where training first began; None = not yet.
        num_starts: how often training began.
        finished: final metrics, once training is done.
        error: what ends the run, once there is such a thing.
        failures: what made ranks fail since training last began, in words.
    """

    path: Path
    report: Reporter
    resumed_from_step: int | None = None
    num_starts: int = 0
    finished: Metrics | None = None
    error: CorpusmithError | None = None
    failures: list[str] = field(default_factory=list)
    _offset: int = 0
    _told: dict[str, int] = field(default_factory=dict)
    _told_before_restart: dict[str, int] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """The highest step that is known to be done."""
        return max(self.resumed_from_step or 0, self._told.get("progress", 0))

    def deliver(self) -> None:
        """Passes on all whole lines that were written since the last call."""
        for event in self._new_events():
            self._dispatch(event)

    def _new_events(self) -> Iterator[dict[str, Any]]:
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                whole_lines, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        self._offset += len(whole_lines) + len(newline)
        yield from _parsed(whole_lines)

    def _dispatch(self, event: dict[str, Any]) -> None:
        match event.pop("kind"):
            case "metrics":
                self._measure(event["values"], event["step"])
            case "progress":
                if self._is_new("progress", event["done"]):
                    self.report.progress(**event)
            case "message" | "warning" | "table" | "example" as kind:
                getattr(self.report, kind)(**event)
            case "started":
                self._start(event["step"], event["num_restarts"])
            case "finished":
                self.finished = event["values"]
            case "error":
                self.error = self.error or error_of(event["name"], event["text"])
            case "failure":
                self.failures.append(event["text"])

    def _measure(self, values: Metrics, step: int | None) -> None:
        if step is not None:
            values = {name: v for name, v in values.items() if self._is_new(f"={name}", step)}
        if values:
            self.report.metrics(values, step=step)

    def _is_new(self, name: str, step: int) -> bool:
        if step <= self._told_before_restart.get(name, -1):
            return False
        self._told[name] = max(step, self._told.get(name, -1))
        return True

    def _start(self, step: int, num_restarts: int) -> None:
        if num_restarts:
            reason = self.failures[0] if self.failures else "one of them was ended from outside"
            self.report.warning(
                f"the training processes failed ({reason}) and start again after step {step}, for "
                f"the {num_restarts}. time"
            )
        self.failures.clear()
        self.num_starts += 1
        self._told_before_restart = dict(self._told)
        if self.resumed_from_step is None:
            self.resumed_from_step = step


def ended_by_error(path: Path) -> bool:
    """Whether the file of events names an error that ends the run."""
    return any(event["kind"] == "error" for event in _parsed(path.read_bytes()))


def error_of(name: str, text: str) -> CorpusmithError:
    """An error of the class of that name; of the base of all where there is none."""
    waiting: list[type[CorpusmithError]] = [CorpusmithError]
    for error_type in waiting:
        if error_type.__name__ == name:
            return error_type(text)
        waiting += error_type.__subclasses__()
    return CorpusmithError(text)


def _parsed(lines: bytes) -> Iterator[dict[str, Any]]:
    """Events in whole lines; half a line is what a killed process left, and tells nothing."""
    for line in lines.split(b"\n"):
        try:
            event = parse_json(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "kind" in event:
            yield event
