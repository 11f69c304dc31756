"""A map of points as SVG text whose points say what they are when pointed at, without a script."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from tasks.report import theme

# Eight hues that people with colour-blind eyes tell apart (Okabe and Ito 2008), black left out for
# dark pages; the rest of the groups share grey.
GROUP_COLOURS = (
    theme.SUBJECT,
    theme.REFERENCE,
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#8a6bbf",
    "#a39b00",
)
_WIDTH, _HEIGHT, _MARGIN = 720.0, 520.0, 12.0
_ROW_HEIGHT, _COLUMNS = 18.0, 4
_RADIUS = 3.2


def scatter_plot(
    points_N2: NDArray[np.floating[Any]],
    *,
    titles: Sequence[str],
    groups: Sequence[str] | None = None,
) -> str:
    """Points without axes, each with its title on hover, coloured by group where there are some.

    Args:
        points_N2: finite coordinates, of any scale; both axes are scaled alike.
        titles: one text a point, of any characters.
        groups: one name a point; the eight largest get colours, the others share grey.

    Cost: about 100 bytes a point beside its title.
    """
    largest = [name for name, _ in Counter(groups or ()).most_common(len(GROUP_COLOURS))]
    colours = dict(zip(largest, GROUP_COLOURS, strict=False))
    legend_height = _ROW_HEIGHT * -(-_legend_size(groups, largest) // _COLUMNS)
    places_N2 = _placed(points_N2) + np.array([0.0, legend_height])
    of_points = [colours.get(name, theme.CONTROL) for name in groups or [""] * len(titles)]
    circles = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}" fill="{colour}">'
        f"<title>{escape(title)}</title></circle>"
        for (x, y), colour, title in zip(places_N2, of_points, titles, strict=True)
    ]
    return "\n".join(
        [
            f'<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT + legend_height:.0f}">',
            *_legend(groups, largest),
            '<g fill-opacity="0.75">',
            *circles,
            "</g>",
            "</svg>",
        ]
    )


def _placed(points_N2: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The points in the picture's units, centred."""
    low_2, high_2 = points_N2.min(axis=0), points_N2.max(axis=0)
    room_2 = np.array([_WIDTH, _HEIGHT]) - 2 * _MARGIN
    spans_2 = np.where(high_2 > low_2, high_2 - low_2, 1.0)
    centred_N2 = (points_N2 - (low_2 + high_2) / 2) * (room_2 / spans_2).min()
    placed_N2: NDArray[np.float64] = centred_N2 + np.array([_WIDTH / 2, _HEIGHT / 2])
    return placed_N2


def _legend_size(groups: Sequence[str] | None, largest: Sequence[str]) -> int:
    return len(largest) + (len(set(groups or ())) > len(largest))


def _legend(groups: Sequence[str] | None, largest: Sequence[str]) -> Iterator[str]:
    """A dot and a name for each coloured group, then one for all others together."""
    names = [*zip(largest, GROUP_COLOURS, strict=False)]
    if num_others := len(set(groups or ())) - len(largest):
        names.append((f"{num_others:,} others", theme.CONTROL))
    for index, (name, colour) in enumerate(names):
        x = _MARGIN + (index % _COLUMNS) * (_WIDTH - 2 * _MARGIN) / _COLUMNS
        y = _ROW_HEIGHT * (index // _COLUMNS) + _ROW_HEIGHT / 2
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
        yield (
            f'<text x="{x + 9:.1f}" y="{y + 4:.1f}" font-size="12" '
            f'fill="{theme.INK}">{escape(name)}</text>'
        )
