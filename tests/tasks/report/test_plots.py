"""Plots: valid SVG with the same bytes for the same numbers, in any thread."""

import math
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import numpy as np
import pytest

from tasks.report.plots import Estimate, Series, estimate_plot, heat_map, line_plot


def lines(name: str = "lines", *, last: float = 0.3) -> str:
    series = [
        Series(label="a", values=[0.1, 0.2, last], low=[0, 0.1, 0.2], high=[0.2, 0.3, 0.4]),
        Series(label="b", values=[0.1, math.nan, 0], low=[0] * 3, high=[0] * 3, role="control"),
    ]
    return line_plot(name, series, x=[0, 1, 2], x_label="layer", y_label="y", level=(0.5, "chance"))


def matrix(size: tuple[int, int] = (3, 4)) -> str:
    values = np.arange(size[0] * size[1], dtype=float).reshape(size) / 10
    return heat_map(
        "matrix",
        values,
        rows=list(range(size[0])),
        columns=list(range(1, size[1] + 1)),
        row_label="head",
        column_label="layer",
        colour_label="share",
    )


def dots() -> str:
    estimates = [Estimate(label=f"$x_{i}$ <&>", value=i, low=i - 1, high=i + 1) for i in range(4)]
    return estimate_plot("dots", estimates, x_label="recall", limits=(-1, 5))


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_labels_are_text_as_written() -> None:
    assert {"layer", "y", "chance", "a", "b"} <= set(texts(lines()))
    assert "$x_2$ <&>" in texts(dots())
    assert {"head", "layer", "share", "0.70"} <= set(texts(matrix()))


def test_small_matrices_carry_numbers_large_ones_do_not() -> None:
    assert "0.30" in texts(matrix((9, 9)))
    assert "0.30" not in texts(matrix((10, 3)))


@pytest.mark.parametrize("draw", [lines, matrix, dots])
def test_same_numbers_same_bytes_and_no_clock(draw: Callable[[], str]) -> None:
    svg = draw()
    assert svg == draw()
    assert "dc:date" not in svg
    assert "<image" not in svg
    assert not re.search(r"20\d\d-\d\d-\d\d", svg)


def test_other_numbers_other_bytes() -> None:
    assert lines() != lines(last=0.31)


def test_threads_do_not_disturb_each_other() -> None:
    names = [f"plot{index}" for index in range(4)]
    alone = [lines(name) for name in names]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lines, names)) == alone


def test_many_layers_thin_their_ticks() -> None:
    values = [0.5] * 40
    one = Series(label="a", values=values, low=values, high=values)
    svg = line_plot("many", [one], x=list(range(40)), x_label="layer", y_label="y")
    assert "35" in texts(svg)
    assert "36" not in texts(svg)


def test_a_flat_line_is_not_magnified() -> None:
    values = [0.5, 0.5001]
    one = Series(label="a", values=values, low=values, high=values)
    svg = line_plot("flat", [one], x=[0, 1], x_label="l", y_label="y", smallest_span=0.2)
    assert "0.450" in texts(svg)
