"""Values by training step as SVG text: ordered lines, each with its name at its end.

One hue from pale to full, and a marker of its own for each neighbour: legible without colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from tasks.report import theme
from tasks.report.plots import new_figure, svg_text

_MARKERS = "os^Dv"
_PALEST = 0.4  # opacity of the first line
_HEIGHT_INCHES = 3.2
_LABEL_GAP_FRAC = 0.062  # of the axes' height, from one name to the next


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line with its intervals; NaN leaves a gap.

    Attributes:
        label: written at its end.
        x: steps, ascending.
        values: float, one for each step.
        low: lower interval bounds.
        high: upper interval bounds.
        is_reference: drawn dashed and in the colour of what others are compared with.
    """

    label: str
    x: Sequence[int]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    is_reference: bool = False


def step_plot(
    name: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    level: tuple[float, str] | None = None,
) -> str:
    """Lines over steps in their own order, the last one darkest; intervals are thin bars.

    Args:
        name: makes ids in the drawing its own.
        lines: at least one, of one step or more.
        x_label: what the steps are.
        y_label: what the values are.
        level: one horizontal line and its name.
    """
    height = max(_HEIGHT_INCHES, 0.75 + 0.19 * len(lines))
    with new_figure(5.8, height) as figure:
        axes = figure.subplots()
        axes.grid(axis="y")
        for place, line in enumerate(lines):
            _draw_line(axes, line, place, len(lines))
        names = [(line.values[-1], line.label) for line in lines]
        if level is not None:
            axes.axhline(level[0], color=theme.MUTED, linewidth=0.8)
            names.append(level)
        axes.set(xlabel=x_label, ylabel=y_label)
        gap = _LABEL_GAP_FRAC * _HEIGHT_INCHES / height
        _name_ends(axes, names, max(line.x[-1] for line in lines), gap)
        return svg_text(figure, name)


def spread_out(wanted: Sequence[float], gap: float) -> list[float]:
    """Places in the order of `wanted`, as near to it as keeps `gap` between neighbours.

    The whole stays within 0 and 1 where there is room for it.
    """
    if not len(wanted):
        return []
    order = np.argsort(wanted, kind="stable")
    # Least squares under an order: pool neighbours whose shifted wishes conflict.
    blocks: list[list[float]] = []
    for place, index in enumerate(order):
        blocks.append([wanted[index] - gap * place])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    shifted = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    highest = 1.0 - gap * (len(wanted) - 1)
    shifted = shifted.clip(0.0, max(0.0, highest))
    places = np.empty(len(wanted))
    places[order] = shifted + gap * np.arange(len(wanted))
    return [float(place) for place in places]


def _draw_line(axes: Axes, line: Line, place: int, num_lines: int) -> None:
    opacity = _PALEST + (1 - _PALEST) * place / max(1, num_lines - 1)
    colour = theme.REFERENCE if line.is_reference else theme.SUBJECT
    opacity = 1.0 if line.is_reference else opacity
    axes.vlines(line.x, line.low, line.high, color=colour, alpha=0.5 * opacity, linewidth=1.0)
    axes.plot(
        line.x,
        line.values,
        "--" if line.is_reference else "-",
        color=colour,
        alpha=opacity,
        marker=_MARKERS[place % len(_MARKERS)],
        markersize=3.8,
        linewidth=1.5,
    )


def _name_ends(axes: Axes, names: Sequence[tuple[float, str]], last_x: int, gap: float) -> None:
    """Each name right of the axes, with a thin line from where it belongs."""
    named = [(value, label) for value, label in names if np.isfinite(value)]
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    wanted = [(value - low) / (high - low) for value, _ in named]
    for (value, label), place in zip(named, spread_out(wanted, gap), strict=True):
        axes.annotate(
            label,
            (last_x, value),
            xytext=(1.05, place),
            textcoords="axes fraction",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": theme.MUTED, "linewidth": 0.5, "shrinkB": 3},
        )
