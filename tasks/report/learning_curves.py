"""Learning curves as SVG text: scores against share of the text, and what is foretold of all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from matplotlib.axes import Axes

from tasks.report import theme
from tasks.report.plots import ROLE_COLOURS, Role, new_figure, svg_text

_COLUMNS = 3
_WIDTH, _HEIGHT = 3.2, 2.25  # of a panel, in inches
_APART = 0.16  # doublings between what two curves foretell of the same share


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A system's scores.

    Attributes:
        label: its name.
        shares: of the text that were tried, ascending.
        values, low, high: scores there with their intervals.
        foretold: score on the whole text with its interval: value, low, high.
        line: points (share, score) of what is foretold from, drawn dashed.
        role: the subject of the report, what it is compared with, or a control.
    """

    label: str
    shares: Sequence[float]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    foretold: tuple[float, float, float]
    line: Sequence[tuple[float, float]]
    role: Role


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Curves that are compared, and the point (share, score) at which they cross, if they do."""

    title: str
    curves: Sequence[Curve]
    crossing: tuple[float, float] | None = None


def learning_curves(name: str, panels: Sequence[Panel], *, y_label: str) -> str:
    """A panel a comparison, all on the same axes; the first curve of each is on top.

    Dots are scores that were measured, diamonds those foretold for the whole text, bars and bands
    their intervals, rings the places where lines cross. Shares are on a scale of doublings.

    Args:
        name: makes ids in the drawing its own.
        y_label: what the scores are.
    """
    num_columns = min(_COLUMNS, len(panels))
    num_rows = -(-len(panels) // num_columns)
    with new_figure(_WIDTH * num_columns, _HEIGHT * num_rows) as figure:
        grid = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_panel(axes, panel)
        for axes in grid[:, 0]:
            axes.set_ylabel(y_label)
        for axes in grid.flat[max(0, len(panels) - num_columns) : len(panels)]:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("share of the text")
        _set_shares(grid[0, 0], panels)
        grid[0, 0].set_ylim(*_score_limits(panels))
        return svg_text(figure, name)


def share_name(share: float) -> str:
    """``1/8``, ``all``, ``4x``: a share or multiple of the text for people."""
    if share == 1:
        return "all"
    return str(Fraction(share).limit_denominator(1000)) if share < 1 else f"{share:g}\u00d7"


def _draw_panel(axes: Axes, panel: Panel) -> None:
    axes.set_xscale("log", base=2)
    axes.grid(axis="y")
    axes.axvline(1, color=theme.GRID, linewidth=0.8, zorder=0)
    for place, curve in reversed(list(enumerate(panel.curves))):
        _draw_curve(axes, curve, at=2.0 ** (_APART * (place - (len(panel.curves) - 1) / 2)))
    if panel.crossing:
        axes.plot(*panel.crossing, "o", markersize=11, markerfacecolor="none", color=theme.INK)
    axes.set_title(panel.title, loc="left", fontsize=9, color=theme.INK)


def _draw_curve(axes: Axes, curve: Curve, at: float) -> None:
    """The curve; what is foretold stands at share `at`, beside that of other curves."""
    colour = ROLE_COLOURS[curve.role]
    axes.fill_between(curve.shares, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(*zip(*curve.line, strict=True), "--", color=colour, linewidth=1.0)
    axes.plot(curve.shares, curve.values, "-", color=colour, marker="o", markersize=3.6)
    value, low, high = curve.foretold
    axes.plot([at, at], [low, high], color=colour, linewidth=2.2, alpha=0.7)
    axes.plot([at], [value], "D", color=colour, markersize=4.6)


def _set_shares(axes: Axes, panels: Sequence[Panel]) -> None:
    """Ticks at every doubling from the least share to the end of the lines."""
    shares = [share for panel in panels for curve in panel.curves for share, _ in curve.line]
    ends = math.floor(math.log2(min(shares))), math.ceil(math.log2(max(shares)))
    ticks = [2.0**doubling for doubling in range(ends[0], ends[1] + 1)]
    axes.set_xticks(ticks, labels=list(map(share_name, ticks)))
    axes.minorticks_off()
    axes.set_xlim(ticks[0] / 2**0.25, ticks[-1] * 2**0.25)


def _score_limits(panels: Sequence[Panel]) -> tuple[float, float]:
    curves = [curve for panel in panels for curve in panel.curves]
    low = min(min(*curve.low, curve.foretold[1]) for curve in curves)
    high = max(max(*curve.high, curve.foretold[2]) for curve in curves)
    return low - 0.03, high + 0.03
