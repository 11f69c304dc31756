"""Plots as SVG text with the same bytes for the same numbers: no clock, no random ids.

Each function takes plain arrays and a `name` that makes the ids inside the drawing its own.
"""

import io
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray

from tasks.report import theme

FloatMatrix = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
Role = Literal["subject", "reference", "control"]
ROLE_COLOURS = {
    "subject": theme.SUBJECT,
    "reference": theme.REFERENCE,
    "control": theme.CONTROL,
}
_LINE_STYLES = {"subject": "-", "reference": "--", "control": ":"}
_SETTINGS: Any = {
    "svg.fonttype": "none",  # real text: small, sharp and set in the page's font
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": theme.INK,
    "axes.labelcolor": theme.INK,
    "axes.edgecolor": theme.MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.formatter.useoffset": False,
    "grid.color": theme.GRID,
    "grid.linewidth": 0.7,
    "xtick.color": theme.MUTED,
    "ytick.color": theme.MUTED,
    "xtick.labelcolor": theme.INK,
    "ytick.labelcolor": theme.INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
_CELL_COLOURS = mpl.colormaps["viridis"].resampled(64)  # a colour bar is a cell for each
_drawing = Lock()  # matplotlib's settings are global; stages may draw in several threads


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line with its interval: arrays over the same x positions; NaN leaves a gap.

    Attributes:
        label: its name in the legend.
        values: float, one for each x position.
        low: lower interval bounds.
        high: upper interval bounds.
        role: the subject of the report, what it is compared with, or a control.
    """

    label: str
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    role: Role = "subject"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One named number with its interval."""

    label: str
    value: float
    low: float
    high: float
    role: Role = "reference"


def line_plot(
    name: str,
    series: Sequence[Series],
    *,
    x: Sequence[int],
    x_label: str,
    y_label: str,
    x_names: Sequence[str] | None = None,
    level: tuple[float, str] | None = None,
    smallest_span: float = 0.0,
) -> str:
    """Lines over whole-numbered positions such as layers, each with its interval as a band.

    Args:
        name: makes ids in the drawing its own.
        series: the lines.
        x: their positions.
        x_label: what the positions are.
        y_label: what the values are.
        x_names: what to write at each position, where it is not its number.
        level: one horizontal line and its name, for example ``(0.5, "chance")``.
        smallest_span: the y axis covers at least so much, so that noise does not look steep.
    """
    with new_figure(5.4, 3.0) as figure:
        axes = figure.subplots()
        axes.grid(axis="y")
        for line in series:
            _draw_series(axes, line, np.asarray(x))
        if level is not None:
            _draw_level(axes, *level)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_xticks(_spaced(x, 13) if x_names is None else x, x_names)
        axes.set_xlim(min(x) - 0.3, max(x) + 0.3)
        _widen(axes, smallest_span)
        _legend_above(axes, len(series))
        return svg_text(figure, name)


def estimate_plot(
    name: str,
    estimates: Sequence[Estimate],
    *,
    x_label: str,
    limits: tuple[float, float] | None = None,
) -> str:
    """Dots with intervals, one row each from top to bottom: systems beside their baselines."""
    with new_figure(5.4, 0.75 + 0.3 * len(estimates)) as figure:
        axes = figure.subplots()
        axes.grid(axis="x")
        rows = range(len(estimates))
        for row, estimate in zip(rows, estimates, strict=True):
            colour = ROLE_COLOURS[estimate.role]
            axes.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=2.2)
            axes.plot([estimate.value], [row], "o", color=colour, markersize=5.5)
        axes.set_yticks(rows, labels=[estimate.label for estimate in estimates])
        axes.set_ylim(len(estimates) - 0.5, -0.5)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel=x_label, xlim=limits)
        return svg_text(figure, name)


def heat_map(
    name: str,
    values: FloatMatrix,
    *,
    rows: Sequence[int],
    columns: Sequence[int],
    row_label: str,
    column_label: str,
    colour_label: str,
    limits: tuple[float, float] | None = None,
) -> str:
    """A matrix as coloured cells, first row at the bottom; small ones carry their numbers."""
    cell = min(0.52, 3.6 / max(values.shape))
    width, height = 1.5 + cell * values.shape[1], 0.75 + cell * values.shape[0]
    with new_figure(max(width, 3.2), max(height, 2.0)) as figure:
        axes = figure.subplots()
        low, high = limits or (float(np.nanmin(values)), float(np.nanmax(values)))
        mesh = axes.pcolormesh(values, cmap=_CELL_COLOURS, vmin=low, vmax=high)
        axes.set_aspect("equal")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        _label_cells(axes, rows, columns)
        axes.set(xlabel=column_label, ylabel=row_label)
        if max(values.shape) <= 9:
            _write_numbers(axes, values, low, high)
        _draw_colour_bar(axes, mesh, colour_label)
        return svg_text(figure, name)


@contextmanager
def new_figure(width_inches: float, height_inches: float) -> Generator[Drawing]:
    """An empty drawing in the house's style; one at a time, whatever thread asks."""
    with _drawing, mpl.rc_context(_SETTINGS):
        yield Drawing(figsize=(width_inches, height_inches), layout="constrained")


def svg_text(figure: Drawing, name: str) -> str:
    """The drawing as SVG, its ids made of the name."""
    mpl.rcParams["svg.hashsalt"] = name
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _draw_series(axes: Axes, line: Series, x: IntArray) -> None:
    colour = ROLE_COLOURS[line.role]
    axes.fill_between(x, line.low, line.high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(
        x,
        line.values,
        _LINE_STYLES[line.role],
        color=colour,
        marker="o",
        markersize=3.6,
        linewidth=1.6,
        label=line.label,
    )


def _draw_level(axes: Axes, level: float, label: str) -> None:
    """A line across, its name outside on the right where no series runs."""
    axes.axhline(level, color=theme.MUTED, linewidth=0.8)
    axes.annotate(
        label,
        (1.0, level),
        xycoords=axes.get_yaxis_transform(),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        color=theme.MUTED,
        annotation_clip=False,
    )


def _widen(axes: Axes, smallest_span: float) -> None:
    low, high = axes.get_ylim()
    missing = max(0.0, smallest_span - (high - low)) / 2
    axes.set_ylim(low - missing, high + missing)


def _legend_above(axes: Axes, num_series: int) -> None:
    if num_series > 1:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=num_series,
            borderaxespad=0.2,
            handlelength=1.8,
            columnspacing=1.4,
        )


def _label_cells(axes: Axes, rows: Sequence[int], columns: Sequence[int]) -> None:
    """Ticks in the middle of cells, thinned where there are many."""
    kept_rows, kept_columns = _spaced(rows, 12), _spaced(columns, 12)
    axes.set_yticks([list(rows).index(row) + 0.5 for row in kept_rows], labels=map(str, kept_rows))
    axes.set_xticks(
        [list(columns).index(column) + 0.5 for column in kept_columns],
        labels=map(str, kept_columns),
    )


def _draw_colour_bar(axes: Axes, mesh: QuadMesh, label: str) -> None:
    bar = axes.figure.colorbar(mesh, ax=axes, label=label, fraction=0.05, pad=0.03)
    assert bar.solids is not None
    bar.solids.set(rasterized=False, edgecolor="face")  # cells, not an embedded picture
    bar.ax.spines[:].set_visible(False)


def _write_numbers(axes: Axes, values: FloatMatrix, low: float, high: float) -> None:
    span = (high - low) or 1.0
    for (row, column), value in np.ndenumerate(values):
        # viridis turns light past two thirds of its range
        colour = "#10151a" if (value - low) / span > 0.62 else "#f5f7f9"
        text = f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", size=8, color=colour)


def _spaced(positions: Sequence[int], most: int) -> list[int]:
    """Every position, or every second, fifth, … so that at most `most` remain."""
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 500) if len(positions) <= most * step)
    return list(positions)[::step]
