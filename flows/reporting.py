"""Carries a stage's words to everyone who watches: the terminal, Prefect and the tracker."""

import time
from collections.abc import Mapping, Sequence

from prefect.logging import get_run_logger
from rich.live import Live

from flows.pages import StagePages
from flows.progress_line import ProgressLine
from flows.terminal import Terminal
from model.errors import CorpusmithError
from tasks.tracking import StageTrack
from tasks.tracking.examples import Examples
from tasks.visible_text import visible

LINE_SECONDS = 10.0  # between two lines of progress where there is no terminal


class StageReporter:
    """The `Reporter` of one stage in one run; a context manager that clears its line of progress.

    Args:
        stage: its name.
        track: the stage's run of the tracker.
        console: of the terminal.
        examples: takes pages that quote documents; None while the user does not allow them.
        pages: the stage's own in Prefect; None where no flow is running.
    """

    def __init__(
        self,
        stage: str,
        track: StageTrack,
        console: Terminal,
        examples: Examples | None = None,
        pages: StagePages | None = None,
    ) -> None:
        self._stage = stage
        self._track = track
        self._console = console
        self._examples = examples
        self._log = get_run_logger()
        self._progress = _Progress(stage, console)
        self._pages = pages

    def __enter__(self) -> "StageReporter":
        return self

    def __exit__(self, *way_out: object) -> None:
        self._progress.close()

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        self._track.metrics(values, step=step)
        self._progress.note(values)

    def progress(self, done: int, total: int, unit: str) -> None:
        self._progress.show(done, total, unit)
        if self._pages:
            self._pages.progress(done, total)

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        if self._pages:
            self._pages.table(name, rows)

    def example(self, name: str, text: str) -> None:
        if not self._examples:
            return
        try:
            self._examples.show(name, text)
        except (OSError, CorpusmithError) as error:  # no reason to end the stage
            self.warning(f"{name} could not be shown: {error}")

    def message(self, text: str) -> None:
        self._console.say(f"{self._stage}: {text}")
        self._log.info(visible(text))

    def warning(self, text: str) -> None:
        self._console.say(f"{self._stage}: {text}", style="yellow")
        self._log.warning(visible(text))


class _Progress:
    """The line of progress: live on a terminal, printed now and then elsewhere."""

    def __init__(self, stage: str, console: Terminal) -> None:
        self._console = console
        self._line = ProgressLine(stage)
        self._live: Live | None = None
        self._last_line_s = time.monotonic()

    def note(self, values: Mapping[str, float]) -> None:
        self._line.note(values)

    def show(self, done: int, total: int, unit: str) -> None:
        self._line.show(done, total, unit)
        if self._console.is_terminal:
            self._begin_live()
        elif time.monotonic() - self._last_line_s >= LINE_SECONDS:
            self._last_line_s = time.monotonic()
            self._console.say(self._line.plain)

    def close(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def _begin_live(self) -> None:
        if not self._live:
            self._live = Live(self._line, console=self._console, transient=True)
            self._live.start()
