import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.report.scatter import GROUP_COLOURS, scatter_plot
from tasks.report.theme import inline_svg

# What XML can hold.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
)


def circles(svg: str) -> list[ET.Element]:
    return [each for each in ET.fromstring(svg).iter("circle") if each.find("title") is not None]


@given(st.lists(st.tuples(TEXT, TEXT, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1))
def test_every_point_is_in_the_picture_under_its_title(
    rows: list[tuple[str, str, float, float]],
) -> None:
    titles, groups, x, y = map(list, zip(*rows, strict=True))
    svg = scatter_plot(np.array([x, y], dtype=float).T, titles=titles, groups=groups)
    drawn = circles(svg)
    assert [each.findtext("title") for each in drawn] == titles
    _, _, width, height = map(float, ET.fromstring(svg).attrib["viewBox"].split())
    for each in drawn:
        assert 0 <= float(each.attrib["cx"]) <= width
        assert 0 <= float(each.attrib["cy"]) <= height


def test_distances_keep_their_proportions() -> None:
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    drawn = circles(scatter_plot(corners, titles=list("abc")))
    a, b, c = (np.array([float(each.attrib["cx"]), float(each.attrib["cy"])]) for each in drawn)
    assert np.linalg.norm(c - a) / np.linalg.norm(b - a) == pytest.approx(4 / 3, rel=1e-2)


def test_the_largest_groups_get_colours_and_the_rest_share_one() -> None:
    groups = [f"g{number}" for number in range(11) for _ in range(11 - number)]
    points = np.random.default_rng(0).normal(size=(len(groups), 2))
    svg = scatter_plot(points, titles=groups, groups=groups)
    colours = {each.findtext("title"): each.attrib["fill"] for each in circles(svg)}
    assert [colours[f"g{number}"] for number in range(8)] == list(GROUP_COLOURS)
    assert len({colours[f"g{number}"] for number in (8, 9, 10)}) == 1
    names = [each.text for each in ET.fromstring(svg).iter("text")]
    assert names == [*(f"g{number}" for number in range(8)), "3 others"]


def test_it_takes_on_the_pages_theme_and_keeps_its_titles() -> None:
    svg = scatter_plot(np.zeros((1, 2)), titles=["a < b & c"], groups=["one"])
    inline = inline_svg(svg, label="A map")
    assert "var(--subject)" in inline
    assert circles(inline)[0].findtext("title") == "a < b & c"
