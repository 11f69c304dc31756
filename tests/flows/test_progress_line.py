"""One line fits every terminal and says what there is to say."""

import io

import pytest
from rich.console import Console

from flows.progress_line import ProgressLine

FIGURES = {"train_loss": 5.4321, "validation_loss": 5.61, "tokens_per_second": 12345.6}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def line_at(clock: Clock, done: int, total: int, stage: str = "pretrain") -> ProgressLine:
    """A line thirty seconds after the work began."""
    line = ProgressLine(stage, clock)
    line.show(0, total, "steps")
    clock.now_s += 30
    line.show(done, total, "steps")
    return line


def drawn(line: ProgressLine, width: int, *, colour: bool = False) -> str:
    console = Console(
        width=width,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor" if colour else None,
    )
    console.print(line)
    assert isinstance(console.file, io.StringIO)
    [row] = console.file.getvalue().splitlines()
    return row


def test_a_wide_terminal_shows_everything_in_words() -> None:
    line = line_at(Clock(), 120, 500)
    line.note(FIGURES)
    row = drawn(line, 120)
    assert row.startswith("pretrain ━━━━━━━━━╸ ")
    assert row.endswith(" 120/500 steps  loss 5.432  validation 5.610  12.3k tokens/s  1:35 left")


def test_eighty_columns_hold_all_of_it_in_short() -> None:
    line = line_at(Clock(), 120, 500)
    line.note(FIGURES)
    row = drawn(line, 80)
    assert row.endswith(" 120/500 steps  loss 5.432  val 5.610  12.3k tok/s  1:35 left")
    assert "━━" in row


@pytest.mark.parametrize("width", range(5, 130, 5))
@pytest.mark.parametrize("total", [500, 1_000_000])
def test_every_width_has_one_row_with_the_counts_first(width: int, total: int) -> None:
    line = line_at(Clock(), 120, total)
    line.note(FIGURES)
    assert len(drawn(line, width)) <= width
    assert len(drawn(line, width, colour=True).encode()) > 0
    if width >= 45:
        assert f"120/{total:,}" in drawn(line, width)
        assert "left" in drawn(line, width)


def test_the_bar_keeps_its_place_while_numbers_grow() -> None:
    clock = Clock()
    places = set()
    for done in (9, 10):
        line = line_at(clock, done, 500)
        row = drawn(line, 60)
        places.add(row.index("/500"))
    assert len(places) == 1


def test_the_plain_line_has_the_numbers_in_full() -> None:
    line = line_at(Clock(), 1200, 5000)
    assert line.plain == "pretrain: 1,200 of 5,000 steps, 1:35 left"
    line.note(FIGURES)
    assert line.plain == (
        "pretrain: 1,200 of 5,000 steps, loss 5.432, validation 5.610, 12,346 tokens/s, 1:35 left"
    )


def test_a_figure_stays_until_a_newer_one_comes() -> None:
    line = line_at(Clock(), 1, 2)
    line.note({"validation_loss": 6.0})
    line.note({"train_loss": 5.0, "grad_norm": 1.0})
    line.note({"train_loss": 4.0})
    assert ", loss 4.000, validation 6.000" in line.plain


def test_time_left_is_that_of_the_last_minute_and_runs_down() -> None:
    clock = Clock()
    line = ProgressLine("pretrain", clock)
    line.show(1000, 2000, "steps")  # a resumed run: what was done before says nothing
    assert "left" not in line.plain
    for second in range(1, 121):
        clock.now_s += 1
        line.show(1000 + min(second, 60) * 5 + max(0, second - 60), 2000, "steps")
    assert line.plain.endswith("10:40 left")  # one a second by now, 640 to go
    clock.now_s += 40
    assert line.plain.endswith("10:00 left")
    clock.now_s += 4000
    assert line.plain.endswith(" 0:00 left")


def test_hours_are_written_out() -> None:
    assert line_at(Clock(), 10, 2000).plain.endswith("1:39:30 left")


@pytest.mark.parametrize(
    ("speed", "says"),
    [(812.4, "812"), (999.7, "1.00k"), (12_000, "12.0k"), (304_123, "304k"), (1_203_000, "1.20M")],
)
def test_speeds_have_three_digits(speed: float, says: str) -> None:
    line = line_at(Clock(), 1, 2)
    line.note({"tokens_per_second": speed})
    assert f"  {says} tokens/s" in drawn(line, 120)


def test_nothing_to_do_is_a_line_too() -> None:
    line = ProgressLine("tokenize", Clock())
    line.show(0, 0, "documents")
    assert drawn(line, 80).endswith("0/0 documents")
    assert line.plain == "tokenize: 0 of 0 documents"
