"""The page: escaped, self-contained, the same bytes every time."""

import math
import re
from html.parser import HTMLParser

import pytest

from tasks.report.page import (
    Figure,
    Section,
    Table,
    format_interval,
    format_number,
    render_report,
)
from tasks.report.plots import Estimate, Series, estimate_plot, line_plot
from tasks.report.theme import INK, SUBJECT

HOSTILE = '<script>alert("x")</script> & $a_b$'


class Elements(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def line(name: str = "a", label: str = "trained") -> str:
    values = [0.1, 0.4, 0.3]
    one = Series(label=label, values=values, low=[0.0] * 3, high=[0.5] * 3)
    return line_plot(name, [one, one], x=[0, 1, 2], x_label="layer", y_label="share")


def page(svg: str | None = None, text: str = HOSTILE) -> str:
    figure = Figure(svg=svg or line(), title=text, says=text, note=text)
    table = Table(says=text, columns=["name", "value"], rows=[[text, "1"]], folded=True)
    dots = estimate_plot("dots", [Estimate(label=text, value=0.5, low=0.4, high=0.6)], x_label=text)
    second = Figure(svg=dots, title="dots", says="Dots.")
    section = Section(title=text, paragraphs=[text], blocks=[figure, second, table, figure])
    return render_report(text, [section], lead=text, facts={text: text})


def parsed(html: str) -> Elements:
    elements = Elements()
    elements.feed(html)
    return elements


def test_text_is_shown_as_written_never_as_markup() -> None:
    elements = parsed(page())
    assert "script" not in elements.tags
    assert elements.text.count(HOSTILE) >= 12


def test_page_needs_no_network_and_no_script() -> None:
    elements = parsed(page())
    assert not {"script", "link", "img", "image", "iframe", "object"} & set(elements.tags)
    outward = [(name, value) for name, value in elements.attributes if name in ("src", "href")]
    assert not outward
    assert not re.search(r"url\((?!#)|@import", page())
    # Namespaces are names; nothing else may look like an address.
    addresses = set(re.findall(r"https?://[^\"'\s<]+", page()))
    assert addresses <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}


def test_references_inside_plots_resolve_and_no_other_id_remains() -> None:
    html = page(line("one"))
    ids = {value for name, value in parsed(html).attributes if name == "id"}
    used = set(re.findall(r"(?:xlink:href=\"|url\()#([^\")]+)", html))
    assert used
    assert ids == used


def test_two_plots_of_different_names_share_no_id() -> None:
    first, second = (set(re.findall(r" id=\"(m[0-9a-f]+|p[0-9a-f]+)\"", line(n))) for n in "ab")
    assert first
    assert not first & second


def test_plots_take_the_pages_colours() -> None:
    html = page()
    body = html[html.index("<body>") :]
    assert "var(--ink)" in body
    assert "var(--subject)" in body
    assert INK not in body
    assert SUBJECT not in body
    style = html[: html.index("<body>")]
    for variable in set(re.findall(r"var\((--[a-z-]+)\)", body)):
        assert style.count(f"{variable}:") >= 1, variable
    assert "prefers-color-scheme: dark" in style


def test_same_input_same_bytes() -> None:
    assert page() == page()


def test_neighbouring_figures_share_a_row() -> None:
    figure = Figure(svg=line(), title="t", says="s")
    table = Table(says="t", columns=["a"], rows=[])
    section = Section(title="x", blocks=[figure, figure, table, figure])
    assert section.groups == [[figure, figure], table, [figure]]


def test_a_ragged_table_is_refused() -> None:
    with pytest.raises(AssertionError, match="column"):
        Table(says="x", columns=["a", "b"], rows=[["1"]])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (-0.5, "\u22120.500"), (-0.0001, "0.000"), (math.nan, "n/a")],
)
def test_numbers(value: float, text: str) -> None:
    assert format_number(value) == text


def test_intervals() -> None:
    assert format_interval(0.5, 0.25, 0.75, digits=2) == "0.50 [0.25, 0.75]"
