"""Curves over the depth of encoders that may have different numbers of layers, as SVG text.

Told apart by dash and marker as well as by colour: legible on paper and by colour-blind readers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from tasks.report import theme
from tasks.report.plots import ROLE_COLOURS, Role, new_figure, svg_text

_LOOKS: tuple[tuple[str, str, Role], ...] = (
    ("-", "o", "subject"),
    ("--", "s", "reference"),
    (":", "^", "control"),
)


@dataclass(frozen=True, kw_only=True)
class DepthCurve:
    """One encoder's values; NaN leaves a gap.

    Attributes:
        label: its name in the legend.
        x: where each value stands, ascending: layers, or shares of the depth.
        values: float, one for each place.
        low: lower interval bounds.
        high: upper interval bounds.
        chosen: index of the value that the text is about; it gets a ring.
    """

    label: str
    x: Sequence[float]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    chosen: int | None = None


def depth_plot(
    name: str,
    curves: Sequence[DepthCurve],
    *,
    x_label: str,
    y_label: str,
    ticks: Sequence[float],
    smallest_span: float = 0.0,
) -> str:
    """Curves with their intervals as bands, the first on top.

    Args:
        name: makes ids in the drawing its own.
        curves: at most three.
        x_label: what the places are.
        y_label: what the values are.
        ticks: places that are written at the axis, from its start to its end.
        smallest_span: the y axis covers at least so much, so that noise does not look steep.
    """
    with new_figure(5.4, 3.0) as figure:
        axes = figure.subplots()
        axes.grid(axis="y")
        for curve, look in reversed(list(zip(curves, _LOOKS, strict=False))):
            _draw_curve(axes, curve, *look)
        margin = 0.04 * (ticks[-1] - ticks[0])
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        axes.set_xlim(ticks[0] - margin, ticks[-1] + margin)
        low, high = axes.get_ylim()
        missing = max(0.0, smallest_span - (high - low)) / 2
        axes.set_ylim(low - missing, high + missing)
        _legend_above(axes, len(curves))
        return svg_text(figure, name)


def _draw_curve(axes: Axes, curve: DepthCurve, dash: str, marker: str, role: Role) -> None:
    colour = ROLE_COLOURS[role]
    axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
    axes.plot(
        curve.x,
        curve.values,
        dash,
        color=colour,
        marker=marker,
        markersize=4.0,
        linewidth=1.6,
        label=curve.label,
    )
    if curve.chosen is not None:
        place = curve.x[curve.chosen], curve.values[curve.chosen]
        axes.plot(*place, "o", markersize=11, markerfacecolor="none", color=theme.INK)


def _legend_above(axes: Axes, num_curves: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1],
        labels[::-1],
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=num_curves,
        borderaxespad=0.2,
        handlelength=2.6,
        columnspacing=1.4,
    )
