"""Lines by step: the same bytes for the same numbers, and names that do not cover each other."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.step_plot import Line, spread_out, step_plot


def drawn(num_lines: int = 4, *, last: float = 0.3) -> str:
    lines = [
        Line(
            label=f"<layer {place}>",
            x=[10, 20, 40],
            values=[0.1, 0.2, last],
            low=[0.0, 0.1, 0.2],
            high=[0.2, 0.3, 0.4],
            is_reference=place == 0,
        )
        for place in range(num_lines)
    ]
    return step_plot("lines", lines, x_label="updates", y_label="y", level=(0.5, "chance"))


def test_same_numbers_same_bytes() -> None:
    assert drawn() == drawn()
    assert drawn() != drawn(last=0.31)


@pytest.mark.parametrize("num_lines", [1, 13, 25])
def test_every_line_is_named(num_lines: int) -> None:
    root = ElementTree.fromstring(drawn(num_lines))
    texts = ["".join(each.itertext()).strip() for each in root.iter() if each.tag.endswith("text")]
    assert all(f"<layer {place}>" in texts for place in range(num_lines))
    assert "chance" in texts


def test_a_line_without_an_end_has_no_name() -> None:
    assert "layer 0" not in drawn(1, last=math.nan)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=14))
def test_names_keep_their_order_and_distance(wanted: list[float]) -> None:
    gap = 0.07
    places = np.array(spread_out(wanted, gap))
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(places[order]) >= gap - 1e-9).all()
    assert places.min() >= -1e-9
    assert places.max() <= 1 + 1e-9


def test_names_with_room_stay_where_they_belong() -> None:
    assert spread_out([0.9, 0.1, 0.5], 0.1) == pytest.approx([0.9, 0.1, 0.5])
    assert spread_out([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
