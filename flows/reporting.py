"""Carries a stage's words to everyone who watches: the terminal, Prefect and the tracker."""

import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from prefect.artifacts import (
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tasks.tracking import StageTrack

PREFECT_SECONDS = 5.0  # each update is a call to the API
LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal


class StageReporter:
    """The `Reporter` of one stage in one run; a context manager that clears its progress bar."""

    def __init__(self, stage: str, track: StageTrack, console: Console) -> None:
        self._stage = stage
        self._track = track
        self._console = console
        self._log = get_run_logger()
        self._bar = _ProgressBar(stage, console)
        self._artifact = _ProgressArtifact(stage)

    def __enter__(self) -> "StageReporter":
        return self

    def __exit__(self, *way_out: object) -> None:
        self._bar.close()
        self._artifact.close()

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        self._track.metrics(values, step=step)
        self._bar.note(values)

    def progress(self, done: int, total: int, unit: str) -> None:
        self._bar.show(done, total, unit)
        self._artifact.show(done, total)

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        create_table_artifact(table=[dict(row) for row in rows], key=f"{self._stage}-{name}")

    def message(self, text: str) -> None:
        self._console.print(f"{self._stage}: {text}", markup=False, highlight=False)
        self._log.info(text)

    def warning(self, text: str) -> None:
        self._console.print(f"{self._stage}: {text}", style="yellow", markup=False)
        self._log.warning(text)


class _ProgressBar:
    """A live bar on a terminal; a plain line now and then elsewhere."""

    def __init__(self, stage: str, console: Console) -> None:
        self._stage = stage
        self._console = console
        self._note = ""
        self._progress: Progress | None = None
        self._last_line_s = time.monotonic()

    def note(self, values: Mapping[str, float]) -> None:
        loss = next((name for name in values if name.endswith("loss")), None)
        self._note = f"{loss} {values[loss]:.3f}" if loss else self._note

    def show(self, done: int, total: int, unit: str) -> None:
        if self._console.is_terminal:
            self._show_bar(done, total, unit)
        elif time.monotonic() - self._last_line_s >= LINE_SECONDS:
            self._last_line_s = time.monotonic()
            line = f"{self._stage}: {done} of {total} {unit} {self._note}".rstrip()
            self._console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        if self._progress:
            self._progress.stop()
            self._progress = None

    def _show_bar(self, done: int, total: int, unit: str) -> None:
        if not self._progress:
            self._progress = Progress(
                TextColumn("{task.description:<9}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[unit]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
                transient=True,
            )
            self._progress.add_task(self._stage, total=total, unit=unit, note="")
            self._progress.start()
        self._progress.update(
            self._progress.task_ids[0], completed=done, total=total, unit=unit, note=self._note
        )


class _ProgressArtifact:
    """The stage's progress on its Prefect page."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._id: UUID | None = None
        self._last_s = time.monotonic()

    def show(self, done: int, total: int) -> None:
        if time.monotonic() - self._last_s >= PREFECT_SECONDS:
            self._send(100.0 * done / max(total, 1))

    def close(self) -> None:
        if self._id:
            self._send(100.0)

    def _send(self, percent: float) -> None:
        self._last_s = time.monotonic()
        if self._id:
            update_progress_artifact(self._id, progress=percent)
        else:
            created = create_progress_artifact(
                progress=percent, key=f"{self._stage}-progress", description=f"{self._stage}"
            )
            self._id = created if isinstance(created, UUID) else None
