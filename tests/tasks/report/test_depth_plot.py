"""Curves over depth: the same bytes for the same numbers, told apart without colour."""

import re

from tasks.report.depth_plot import DepthCurve, depth_plot


def drawn(*, last: float = 0.3) -> str:
    deep = [0.1, 0.2, last]
    curves = [
        DepthCurve(label="a <b>", x=[0, 0.5, 1], values=deep, low=deep, high=deep, chosen=2),
        DepthCurve(label="shallow", x=[0, 1], values=[0.2, 0.4], low=[0.1, 0.3], high=[0.3, 0.5]),
    ]
    return depth_plot("curves", curves, x_label="depth", y_label="y", ticks=[0, 0.5, 1])


def test_same_numbers_same_bytes() -> None:
    assert drawn() == drawn()
    assert drawn() != drawn(last=0.31)


def test_curves_differ_in_dash_and_are_named() -> None:
    svg = drawn()
    assert "a &lt;b&gt;" in svg
    assert len(re.findall(r"stroke-dasharray", svg)) >= 2  # the second curve and its legend
    first, second = svg.index("a &lt;b&gt;"), svg.index("shallow")
    assert first < second
