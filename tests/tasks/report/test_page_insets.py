"""Insets on a page: markup as it is, its sentence escaped, equal rules once."""

from markupsafe import Markup

from tasks.report.inset import Inset
from tasks.report.page import Section, render_report

RULES = ".own > b { color: red; }"


def inset(name: str) -> Inset:
    return Inset(says=f"<{name}>", html=Markup('<p id="{}"></p>').format(name), style=RULES)


def test_markup_enters_as_it_is_and_sentences_as_text() -> None:
    page = render_report("t", [Section(title="s", blocks=[inset("a"), inset("b")])])
    assert '<p>&lt;a&gt;</p>\n<p id="a"></p>' in page
    assert '<p>&lt;b&gt;</p>\n<p id="b"></p>' in page
    assert page.partition("</style>")[0].count(RULES) == page.count(RULES) == 1


def test_pages_without_insets_have_no_rules_for_them() -> None:
    assert RULES not in render_report("t", [Section(title="s")])
