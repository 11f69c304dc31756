"""One line that says how far a stage has come: live on a terminal, plain in a log."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

RATE_SECONDS = 60.0  # of the past that say how long the rest takes
SAMPLE_SECONDS = 0.5
MIN_BAR_CELLS, MAX_BAR_CELLS = 8, 40

Figures = list[tuple[str, str]]


class ProgressLine:
    """Counts, the newest figures and the time left, laid out for the width there is.

    Args:
        stage: named first.
        clock: monotonic seconds.
    """

    def __init__(self, stage: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage = stage
        self._figures: dict[str, float] = {}
        self._done, self._total, self._unit = 0, 0, ""
        self._rate = _Rate(clock)

    def note(self, values: Mapping[str, float]) -> None:
        """Remember reported metrics; each is shown until a newer one comes."""
        self._figures |= values

    def show(self, done: int, total: int, unit: str) -> None:
        """Say how far the work has come."""
        self._done, self._total, self._unit = done, total, unit
        self._rate.note(done)

    @property
    def plain(self) -> str:
        """The line for a log, numbers in full."""
        counts = f"{self._stage}: {self._done:,} of {self._total:,} {self._unit}"
        speed = [f"{value:,.0f} tokens/s" for value in self._values("tokens_per_second")]
        return ", ".join([counts, *map(" ".join, self._losses("validation")), *speed, *self._left])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The widest form that leaves room for a bar; without a bar where none does."""
        width = options.max_width
        forms = list(self._forms())
        fitting = [form for form in forms if _cells(form) + MIN_BAR_CELLS <= width]
        before, after = fitting[0] if fitting else forms[-1]
        room = width - _cells((before, after))
        yield before
        if room >= MIN_BAR_CELLS:
            bar_cells = min(room, MAX_BAR_CELLS)
            bar = console.render(
                ProgressBar(self._total, self._done), options.update_width(bar_cells)
            )
            yield from Segment.adjust_line_length(
                list(bar), bar_cells
            )  # it is short without colour
        after.truncate(max(0, width - before.cell_len), overflow="ellipsis")
        yield after

    def _forms(self) -> Iterator[tuple[Text, Text]]:
        """What stands before and after the bar, from the longest form to the shortest."""
        total = f"{self._total:,}"
        counts = f"{self._done:>{len(total)},}/{total}"  # of one width, or the bar would tremble
        in_full = f"{counts} {self._unit}"
        speed = [_abbreviated(value) for value in self._values("tokens_per_second")]
        losses, brief_losses = self._losses("validation"), self._losses("val")
        yield self._form(in_full, losses, [(value, "tokens/s") for value in speed])
        yield self._form(in_full, brief_losses, [(value, "tok/s") for value in speed])
        yield self._form(counts, brief_losses, [(value, "tok/s") for value in speed])
        yield self._form(counts, brief_losses, [])
        yield self._form(counts, brief_losses[:1], [])
        yield self._form(counts, [], [])

    def _form(self, counts: str, losses: Figures, speeds: Figures) -> tuple[Text, Text]:
        before = Text(f"{self._stage:<8} ", style="bold", end="", no_wrap=True)
        after = Text(f" {counts}", end="", no_wrap=True)
        for label, value in losses:
            after.append(f"  {label} ", style="dim").append(value, style="cyan")
        for value, label in speeds:
            after.append(f"  {value}", style="cyan").append(f" {label}", style="dim")
        for left in self._left:
            after.append(f"  {left}", style="dim")
        return before, after

    def _losses(self, validation: str) -> Figures:
        names = {"train_loss": "loss", "validation_loss": validation}
        return [(names[name], f"{each:.3f}") for name in names for each in self._values(name)]

    def _values(self, name: str) -> list[float]:
        return [self._figures[name]] if name in self._figures else []

    @property
    def _left(self) -> list[str]:
        seconds = self._rate.seconds_for(self._total - self._done)
        return [] if seconds is None else [f"{_duration(seconds)} left"]


class _Rate:
    """How fast the work went in the last minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()
        self._last = (0.0, 0)

    def note(self, done: int) -> None:
        now = self._clock()
        self._last = (now, done)
        if not self._samples or now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append(self._last)
        while len(self._samples) > 2 and now - self._samples[1][0] >= RATE_SECONDS:
            self._samples.popleft()

    def seconds_for(self, num_left: int) -> float | None:
        """From now on; None while nothing was seen to move."""
        if not self._samples:
            return None
        (first_s, first_done), (last_s, last_done) = self._samples[0], self._last
        if last_done <= first_done or last_s <= first_s:
            return None
        needed_s = num_left * (last_s - first_s) / (last_done - first_done)
        return max(0.0, needed_s - (self._clock() - last_s))


def _cells(form: tuple[Text, Text]) -> int:
    return sum(cell_len(text.plain) for text in form)


def _duration(seconds: float) -> str:
    """``4:12``, or ``1:04:12`` from an hour on."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _abbreviated(value: float) -> str:
    """Three digits: ``812``, ``12.0k``, ``304k``, ``1.20M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:  # what rounds up to it
            return f"{value / size:#.3g}".rstrip(".") + letter
    return f"{value:.0f}"
