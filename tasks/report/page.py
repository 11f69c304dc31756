"""One self-contained HTML page out of sections: no script, no network, light and dark."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from tasks.report.inset import Inset
from tasks.report.theme import inline_svg


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A plot and the one sentence it says.

    Attributes:
        svg: a whole SVG document from `tasks.report.plots`.
        says: what a reader sees in it, as a sentence with numbers.
        title: what is drawn.
        note: sample, interval or formula, in small print.
        wide: takes the page's whole width.
    """

    svg: str
    says: str
    title: str
    note: str = ""
    wide: bool = False

    @property
    def inline(self) -> Markup:
        """The plot as an element of the page, coloured by the page's theme."""
        return Markup(inline_svg(self.svg, label=f"{self.title}. {self.says}"))


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of ready text under a sentence.

    Attributes:
        says: what a reader learns from it.
        columns: headings.
        rows: one text for every column.
        num_label_columns: leading columns of words; the rest are numbers, set to the right.
        emphasized: indexes of rows that the page is about.
        folded: shown closed, for numbers that few readers need.
        wraps: cells hold passages of text, broken into lines.
    """

    says: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_label_columns: int = 1
    emphasized: frozenset[int] = frozenset()
    folded: bool = False
    wraps: bool = False

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.columns) for row in self.rows), "a row misses a column"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, paragraphs, then figures, tables and insets in order.

    Attributes:
        title: the heading.
        paragraphs: plain text; markup in it is shown as written.
        blocks: figures (neighbours share a row where there is room), tables and insets.
    """

    title: str
    paragraphs: Sequence[str] = ()
    blocks: Sequence[Figure | Table | Inset] = field(default=())

    @property
    def groups(self) -> list[list[Figure] | Table | Inset]:
        """The blocks, with runs of figures joined."""
        groups: list[list[Figure] | Table | Inset] = []
        for block in self.blocks:
            if isinstance(block, Table | Inset):
                groups.append(block)
            elif groups and isinstance(groups[-1], list):
                groups[-1].append(block)
            else:
                groups.append([block])
        return groups


def render_report(
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    facts: Mapping[str, str] | None = None,
) -> str:
    """The page as HTML text.

    Args:
        title: the page's heading.
        sections: its body.
        lead: the finding in one or two sentences, under the heading.
        facts: short name and value pairs shown first: sample sizes, model size, seeds.

    Every text is escaped; only plots and insets enter as markup. The same input gives the same
    bytes.
    """
    blocks = [block for section in sections for block in section.blocks]
    return _template().render(
        title=title,
        sections=sections,
        lead=lead,
        facts=facts or {},
        inset_styles=[
            Markup(style)
            for style in dict.fromkeys(block.style for block in blocks if isinstance(block, Inset))
        ],
        has_passages=any(isinstance(block, Table) and block.wraps for block in blocks),
    )


def format_interval(value: float, low: float, high: float, *, digits: int = 3) -> str:
    """``0.731 [0.702, 0.760]``."""
    around = f"[{format_number(low, digits)}, {format_number(high, digits)}]"
    return f"{format_number(value, digits)} {around}"


def format_number(value: float, digits: int = 3) -> str:
    """A number with `digits` decimals and a real minus sign; never ``-0.000``; NaN as n/a."""
    if math.isnan(value):
        return "n/a"
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "\u2212")


@cache
def _template() -> Template:
    folder = files("tasks.report")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["style"] = Markup(folder.joinpath("page.css").read_text(encoding="utf-8"))
    environment.tests["table"] = lambda block: isinstance(block, Table)
    environment.tests["inset"] = lambda block: isinstance(block, Inset)
    return environment.from_string(folder.joinpath("page.html").read_text(encoding="utf-8"))
