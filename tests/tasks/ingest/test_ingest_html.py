"""Web pages become their main text, whatever browsers put up with; none takes long or crashes."""

import logging
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ingest.pages.html_pages import Page, extract_page, looks_like_html
from tasks.ingest.pages.plain_text import Cutting, Markup, Unit, read_text
from tasks.ingest.reading.records import Reason, Record, Refusal

PARAGRAPHS = [
    "The first paragraph has enough words in it to be taken for the text of an article.",
    "A second paragraph follows, with a link and more than enough words about the same matter.",
    "At last there is a third one; it ends the article with some words, and then some more.",
]
MENU = "".join(f'<li><a href="/{n}">Menu entry {n}</a></li>' for n in range(10))
LINKED = PARAGRAPHS[1].replace("link", "<a href=x>link</a>")
ARTICLE = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>A   title &amp;
more</title><script>var hidden = "<p>script</p>";</script><style>p {{ color: red }}</style></head>
<body><nav><ul>{MENU}</ul></nav>
<article><h1>Heading</h1><p>{PARAGRAPHS[0]}</p><p>{LINKED}
<table><tr><th>Name</th><th>Value</th></tr><tr><td>cell one</td><td>cell two</td></tr></table>
<p>{PARAGRAPHS[2]}</p></article>
<div id="comments" class="comments"><p class="comment">A reader's comment, not the author's.</p>
</div>
<footer><p>Copyright</p></footer></body></html>"""


def extract(markup: str) -> Page:
    page = extract_page(markup)
    assert isinstance(page, Page), page
    return page


def body(content: str, title: str = "T") -> str:
    return f"<html><head><title>{title}</title></head><body>{content}</body></html>"


BY_FILE = Cutting()


def read(data: bytes, cutting: Cutting = BY_FILE) -> Record | Refusal:
    [found] = read_text(
        [data],
        source="a.html",
        markup=Markup.HTML,
        cutting=cutting,
        max_bytes=100_000,
        min_confidence=0.9,
    )
    return found


def test_the_main_text_is_taken_with_paragraphs_as_lines() -> None:
    page = extract(ARTICLE)
    lines = page.text.split("\n")
    assert page.title == "A title & more"
    assert [line for line in lines if line in PARAGRAPHS] == PARAGRAPHS
    assert "cell one" in page.text
    for left_out in ("Menu entry", "script", "color", "comment", "Copyright", "<"):
        assert left_out not in page.text


def test_each_page_stands_for_itself() -> None:
    first = extract(ARTICLE)
    pages = [extract(ARTICLE.replace("Heading", f"Heading {n}")) for n in range(5)]
    assert all(page.text.split("\n")[1:] == first.text.split("\n")[1:] for page in pages)
    assert extract(ARTICLE) == first


@pytest.mark.parametrize("cutting", [Cutting(), Cutting(Unit.SEPARATOR), Cutting(Unit.HEADING)])
def test_a_file_of_html_is_always_one_document(cutting: Cutting) -> None:
    found = read(ARTICLE.encode(), cutting)
    assert isinstance(found, Record)
    assert (found.text, found.columns) == (extract(ARTICLE).text, {"title": "A title & more"})
    assert (found.doc_id, found.byte_offset) == ("a.html#0", 0)
    assert (found.num_bytes, found.preview) == (len(ARTICLE), ARTICLE.encode()[:200])


def test_the_encoding_that_a_page_declares_counts() -> None:
    found = read(body("<p>Größe").replace("<head>", "<head><meta charset=latin1>").encode("latin1"))
    assert isinstance(found, Record)
    assert found.text == "Größe"


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ('<title>One</title><meta property="og:title" content=" Two  &lt;b ">', "Two <b"),
        ('<title>One</title><meta property="og:title" content=" ">', "One"),
        ("<title> \n </title>", "Heading"),
        ("", "Heading"),
    ],
)
def test_titles(head: str, title: str) -> None:
    markup = f"<html><head>{head}</head><body><h1> </h1><h1>Heading</h1><p>text</p></body></html>"
    assert extract(markup).title == title


def test_a_page_without_title_has_none() -> None:
    found = read(b"<html><body><p>text</p></body></html>")
    assert isinstance(found, Record)
    assert (found.text, found.columns) == ("text", {})


LENIENT = {
    "a fragment": ("<p>Hello there", "Hello there"),
    "no tags": ("Hello there", "Hello there"),
    "unclosed": ("<html><body><div><p>Hello <b>there<p>again", "Hello there\nagain"),
    "html that closes itself": ("<html lang='en'/><body><p>Hello</p></body>", "Hello"),
    "XHTML": (
        '<?xml version="1.0" encoding="UTF-16"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 '
        'Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>T</title></head>'
        "<body><p>é one<br/>two</p></body></html>",
        "é one\ntwo",
    ),
    "declarations": (
        '<!DOCTYPE html [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><html><body><p>x</p></body></html>',
        "x",
    ),
    "NULs": ("<html><body><p>a\0 b\x1f c</p></body></html>", "a b c"),
    "entities": (body("<p>&lt;b&gt; &amp;lt; &eacute; &bogus; &#xD800; AT&T</p>"), None),
    "a lone surrogate": (body("<p>a \ud800 b</p>"), "a b"),
    "tags without end": (body("<p>one</p><a href='x"), "one"),
    "characters that XML has not": (
        body("<p>a &#1; b &#xFFFF;</p><p {c}='1' d:e=f class='&#2;'>g &amp;</p>", "T"),
        "a b\ng &",
    ),
    "a comment without end": (body("<p>one</p>") + "<!-- two", "one"),
    "a link list": (body('<p><a href="a">one two</a></p>'), "one two"),
}


@pytest.mark.parametrize(("markup", "text"), LENIENT.values(), ids=LENIENT)
def test_broken_pages_are_read_as_browsers_do(markup: str, text: str | None) -> None:
    expected = "<b> &lt; é &bogus; \ufffd AT&T" if text is None else text
    assert extract(markup).text == expected


@pytest.mark.parametrize(
    "markup",
    [
        "",
        " \n ",
        "<!-- x -->",
        "<html><head><title>T</title></head><body></body></html>",
        body("<script>var x = 1;</script><style>p {}</style>"),
        body("<img src='a.png'><br><hr>"),
        body("<p> &nbsp; </p>"),
        "<html><frameset><frame src=a></frameset></html>",
    ],
)
def test_a_page_without_text_is_empty(markup: str) -> None:
    assert extract_page(markup) is Reason.EMPTY


def test_a_refused_page_says_why() -> None:
    markup = body("<img>").encode()
    assert read(markup) == Refusal(0, Reason.EMPTY, 0, markup, len(markup))


def repeated(unit: str, size: int = 100_000) -> str:
    return unit * (size // len(unit))


ATTRIBUTES = " ".join(f"a{number}" for number in range(30_000))
HOSTILE = {
    "deep": (body("<div>" * 70_000 + "x"), Reason.TOO_DEEP),
    "deep and closed": (body("<div>" * 39_000 + "x" + "</div>" * 39_000), Reason.TOO_DEEP),
    "deep all over": (body(("<i>" * 200 + "x" + "</i>" * 200) * 150), Reason.TOO_DEEP),
    "many tags": (body("<p>x" * 80_001), Reason.TOO_LONG),
    "many attributes": (
        body("<p " + ATTRIBUTES + ">x"),
        Reason.TOO_LONG,
    ),
    "many attributes in all": (body("<p a b c d e f>x</p>" * 80_000), Reason.TOO_LONG),
    "odd attributes": (body("<p " + "a='>'" * 30_000 + ">x"), Reason.TOO_LONG),
    "slashes": (body("<p" + "/a" * 30_000 + ">x"), Reason.TOO_LONG),
    "a huge attribute": (body(f"<p class='{repeated('a ', 2**20)}'>x</p>"), "x"),
    "a huge meta": (f"<meta name=author content='{repeated('<', 2**20)}'>{body('x')}", "x"),
    "a huge picture": (body(f"<img src='data:{repeated('A', 2**20)}'><p>x</p>"), "x"),
    "a huge script": (body(f"<script>{repeated('a<b;', 2**20)}</script><p>x"), "x"),
    "scripts without end": (body("<p>x</p>" + repeated("<script>")), "x"),
    "data in a script": (
        body(f'<script type="application/ld+json">{repeated(chr(34) + "@type" + chr(34) + ":[")}')
        + "</script><p>x",
        "x",
    ),
    "comments without end": (body("<p>x</p>" + repeated("<!--")), "x"),
    "quotes without end": (body("<p>x</p>" + repeated("<a '")), Reason.TOO_LONG),
    "angles": (body("<p>x</p>" + repeated("</")), "x"),
    "blanks": (body(f"<p>{repeated(' ', 2**20)}x</p>"), "x"),
    "blank references": (body(f"<p>{repeated('&#32;', 2**20)}x</p>"), "x"),
    "an endless number": (body(f"<p>x &amp;#{'9' * 10_000};</p>"), f"x &#{'9' * 10_000};"),
}


@pytest.mark.timeout(30)  # each takes a second at most
@pytest.mark.parametrize(("markup", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_pages_take_bounded_time(markup: str, expected: str | Reason) -> None:
    page = extract_page(markup)
    assert (page.text if isinstance(page, Page) else page) == expected


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "unit",
    [
        "<ul><li>item</li></ul>",
        "<div id=a><p>x y z</p></div>",
        "<table><tr><td>x</td></tr></table>",
        "<div>text" * 10 + "</div>" * 10,
        "<p><a href=x>link</a></p>",
        "<h2>x</h2>",
        "text<br>",
    ],
)
def test_large_pages_take_linear_time(unit: str) -> None:
    assert extract(body(repeated(unit, 300_000))).text


def test_what_the_library_cannot_do_costs_a_page_and_memory_costs_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail_with(error: Exception) -> None:
        def extract(*arguments: object, **options: object) -> str:
            raise error

        monkeypatch.setattr("trafilatura.extract", extract)

    fail_with(AttributeError("a hole"))
    assert extract_page(body("<p>x</p>")) is Reason.BAD_HTML
    fail_with(MemoryError())
    with pytest.raises(MemoryError):
        extract_page(body("<p>x</p>"))


def test_a_long_text_is_taken_whole_or_not_at_all() -> None:
    text = "word " * 1_500_000
    assert len(extract(body(f"<p>{text}end</p>")).text) == len(text) + 3
    assert extract_page(body(f"<p>{text}{text}end</p>")) is Reason.TOO_LONG


def test_memory_does_not_grow_with_the_number_of_pages() -> None:
    def pages() -> Iterator[str]:
        for number in range(60):
            yield body(f"<p>{number} {'word ' * 20_000}</p>")

    extract(body("<p>x</p>"))
    tracemalloc.start()
    for page in pages():
        extract(page)
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert left < 2**20


TAGS = (
    *("<p>", "</p>", "<div", ">", "<table>", "<tr>", "<td>", "</table>", "<ul><li>", "</li>"),
    *("<a href='", "'", '"', "&amp;", "&#", "<!--", "-->", "<script>", "</script>", "<title>"),
    *("<html>", "</body>", "text", "More words. ", "\n", "<br/>", "<svg>", "<math>", "<![CDATA["),
    *("<?xml", "?>", "<!DOCTYPE", "<article>", "<h1>", "<pre>", "<q>", "<form>", "<x:y>", "\0"),
    *("&#1;", "&#xFFFE;", "<p {a}='b' x:y=1 class='&#2;' =c>", "<h1>", "<head>", "&amp;lt;"),
)


@settings(deadline=None)
@given(markup=st.lists(st.sampled_from(TAGS) | st.text(max_size=5), max_size=40).map("".join))
def test_no_markup_is_a_crash(markup: str) -> None:
    page = extract_page(markup)
    assert page is Reason.EMPTY or (isinstance(page, Page) and page.text.strip())
    assert extract_page(markup) == page


def test_the_library_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    root_level = logging.getLogger().level
    with caplog.at_level(logging.DEBUG):
        extract_page("")
        extract_page("<p>x")
        extract_page(body("<script>x</script>"))
    assert caplog.records == []
    assert logging.getLogger().level == root_level


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("<!DOCTYPE html><p>x", True),
        (' \n<!-- a --><HTML lang="en">', True),
        ("\ufeff<?xml version='1.0'?><!DOCTYPE html PUBLIC>", True),
        ("<head>", True),
        ("<body class=x>", True),
        ("<p>Markdown may begin so</p>\n\n# Title", False),
        ("<!-- comment -->\n# Title", False),
        ("<htmlx>", False),
        ("text <html>", False),
        ("", False),
        ("<!---->" * 10_000, False),
        ("<!-- " * 10_000, False),
        ("\n" * 60_000, False),
    ],
)
def test_pages_are_known_by_their_beginning(head: str, expected: bool) -> None:
    assert looks_like_html(head) is expected
