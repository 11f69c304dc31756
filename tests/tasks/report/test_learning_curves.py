"""Learning curves: what is drawn, on axes of doublings, with the same bytes each time."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from tasks.report.learning_curves import Curve, Panel, learning_curves, share_name

SHARES = (0.125, 0.25, 0.5)


def curve(label: str, value: float, *, upto: float = 1.0, role: Any = "subject") -> Curve:
    return Curve(
        label=label,
        shares=SHARES,
        values=[value] * 3,
        low=[value - 0.1] * 3,
        high=[value + 0.1] * 3,
        foretold=(value, value - 0.2, value + 0.2),
        line=[(share, value) for share in (0.125, upto)],
        role=role,
    )


def drawing(num_panels: int = 4, *, upto: float = 1.0, crosses: bool = False) -> str:
    panels = [
        Panel(
            title=f"other {number}",
            curves=[
                curve("own", 0.5, upto=upto),
                curve("other", 0.3 + number / 100, role="reference"),
            ],
            crossing=(0.7, 0.5) if crosses else None,
        )
        for number in range(num_panels)
    ]
    return learning_curves("curves", panels, y_label="recall@1")


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("num_panels", [1, 2, 3, 4, 9])
def test_every_panel_has_its_title_and_axes_are_named(num_panels: int) -> None:
    found = texts(drawing(num_panels))
    assert [text for text in found if text.startswith("other")] == [
        f"other {number}" for number in range(num_panels)
    ]
    columns = min(3, num_panels)
    assert found.count("share of the text") == columns
    assert found.count("recall@1") == -(-num_panels // columns)
    assert found.count("1/8") >= columns


def test_the_axis_ends_with_the_lines() -> None:
    assert [name for name in ("all", "2\u00d7", "4\u00d7") if name in texts(drawing())] == ["all"]
    longer = texts(drawing(upto=3.0))
    assert "4\u00d7" in longer
    assert "8\u00d7" not in longer


def test_a_crossing_is_a_ring_more() -> None:
    plain, crossed = drawing(1), drawing(1, crosses=True)
    assert len(re.findall("<use ", crossed)) == len(re.findall("<use ", plain)) + 1


def test_same_curves_same_bytes() -> None:
    assert drawing() == drawing()
    assert "date" not in drawing().lower()


def test_shares_are_named_for_people() -> None:
    assert [share_name(share) for share in (0.125, 0.5, 1, 2.0, 16)] == [
        "1/8",
        "1/2",
        "all",
        "2\u00d7",
        "16\u00d7",
    ]
