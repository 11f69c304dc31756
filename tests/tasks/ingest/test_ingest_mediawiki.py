"""Articles come out of dumps of MediaWiki without their markup, whatever stands in the dump."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ingest.pages.mediawiki import looks_like_mediawiki, read_mediawiki
from tasks.ingest.pages.mediawiki_markup import strip_markup
from tasks.ingest.reading.records import FileRefusedError, Reason, Record, Refusal

HEAD = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="de">\n'
    "<siteinfo><sitename>Wiki</sitename><namespaces>"
    '<namespace key="0" case="first-letter" /><namespace key="1">Diskussion</namespace>'
    '<namespace key="6">Bestandje</namespace></namespaces></siteinfo>\n'
)
END = "</mediawiki>\n"
NAMESPACES = [f'<namespace key="{number}">a{number}</namespace>' for number in range(1, 2_000)]


def page(text: str, title: str = "Title", namespace: str | None = "0", extra: str = "") -> str:
    kind = "" if namespace is None else f"<ns>{namespace}</ns>"
    revision = f'<revision><id>99</id><text xml:space="preserve">{escape(text)}</text></revision>'
    return f"<page><title>{escape(title)}</title>{kind}<id>12</id>{extra}{revision}</page>\n"


def read(dump: str | bytes, max_bytes: int = 10_000, size: int = 50) -> list[Record | Refusal]:
    """What is found, with what stops the reading as a last refusal."""
    data = dump.encode() if isinstance(dump, str) else dump
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    found: list[Record | Refusal] = []
    try:
        found.extend(read_mediawiki(pieces, source="wiki.xml", max_bytes=max_bytes))
    except FileRefusedError as refused:
        found.append(refused.refusal)
    return found


def kinds(found: list[Record | Refusal]) -> list[Reason | str | None]:
    return [one.reason if isinstance(one, Refusal) else one.text for one in found]


@given(size=st.integers(1, 2_000))
def test_articles_do_not_depend_on_pieces(size: int) -> None:
    dump = HEAD + page("''Äpfel'' & [[Birne|Birnen]]", "Obst & Co") + page("two\n\nlines") + END
    first, second = read(dump, size=size)
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.text, second.text) == ("Äpfel & Birnen", "two\n\nlines")
    assert first.columns == {"title": "Obst & Co", "page_id": 12}
    assert (first.number, first.doc_id, second.doc_id) == (0, "wiki.xml#0", "wiki.xml#1")
    assert first.preview == "''Äpfel'' & [[Birne|Birnen]]".encode()
    for one in (first, second):
        assert one.byte_offset is not None
        assert one.num_bytes is not None
        element = dump.encode()[one.byte_offset :][: one.num_bytes]
        assert element.startswith(b"<page>")
        assert element.endswith(b"</page>")
        assert element.count(b"page>") == 2


def test_only_articles_are_read() -> None:
    found = read(
        HEAD
        + page("talk", "Diskussion:X", "1")
        + page("", extra='<redirect title="Y" />')
        + page("#WEITERLEITUNG [[Y]]")
        + page("#redirect: [[Y]]")
        + page("# [[Y]] is an item")
        + page("{}", extra="<revision><model>json</model><text>{}</text></revision>")
        + page("text", extra="<revision><model>wikitext</model><text>old</text></revision>")
        + END
    )
    assert kinds(found) == [
        Reason.UNSUPPORTED,
        Reason.REDIRECT,
        Reason.REDIRECT,
        Reason.REDIRECT,
        "Y is an item",
        Reason.UNSUPPORTED,
        "text",
    ]
    assert [one.number for one in found] == list(range(7))
    assert all(one.reason.is_drop for one in found if isinstance(one, Refusal))


def test_old_dumps_tell_namespaces_by_titles() -> None:
    pages = page("a", "Diskussion:X", None) + page("b", "Film: Ein Drama", None)
    assert kinds(read(HEAD + pages + END)) == [Reason.UNSUPPORTED, "b"]


def test_a_dump_names_its_own_namespaces() -> None:
    assert kinds(read(HEAD + page("a [[Bestandje:x.jpg|thumb|y]]") + END)) == ["a"]


def test_the_last_revision_counts() -> None:
    long = f"<revision><text>{'old ' * 100}</text></revision>"
    assert kinds(read(HEAD + page("new", extra=long) + END, max_bytes=100)) == ["new"]


def test_strange_fields_are_left_out() -> None:
    dump = (HEAD + page("a", " ") + END).replace("<id>12<", f"<id>{'9' * 5000}<")
    [found] = read(dump)
    assert isinstance(found, Record)
    assert (found.text, found.columns) == ("a", {})


def test_what_is_too_long_is_refused_alone() -> None:
    found = read(HEAD + page("ü" * 200) + page("b") + page("c", "t" * 20_000) + END, max_bytes=399)
    assert kinds(found) == [Reason.TOO_LONG, "b", Reason.TOO_LONG]
    assert found[0].preview == "ü".encode() * 100
    assert kinds(read(HEAD + page("ü" * 200) + END, max_bytes=400)) == ["ü" * 200]


BROKEN = {
    "truncated": HEAD + page("a") + page("b")[:60],
    "not well-formed": HEAD + page("a") + "<page></pages>",
    "an undeclared entity": HEAD + page("a") + "<page>&nbsp;</page>",
    "control characters": HEAD + page("a") + "\x01",
    "something behind": HEAD + page("a") + END + "x",
}


@pytest.mark.parametrize("dump", BROKEN.values(), ids=BROKEN)
def test_pages_before_broken_xml_are_good(dump: str) -> None:
    first, last = read(dump)
    assert isinstance(first, Record)
    assert isinstance(last, Refusal)
    assert (last.number, last.reason) == (None, Reason.BAD_XML)
    assert last.byte_offset is not None
    assert len((HEAD + page("a")).encode()) <= last.byte_offset <= len(dump.encode())


@pytest.mark.parametrize(
    ("dump", "reason"),
    [
        ("", Reason.BAD_XML),
        ("<html><page/></html>", Reason.BAD_XML),
        ('<!DOCTYPE x [<!ENTITY a "b">]>' + HEAD + page("a"), Reason.BAD_XML),
        ('<!DOCTYPE x SYSTEM "http://example.org/x.dtd">' + HEAD + "&a;", Reason.BAD_XML),
        ("<!DOCTYPE x []>" + HEAD + page("a") + END, Reason.BAD_XML),
        (HEAD + "<a>" * 1_000, Reason.TOO_DEEP),
        ("<mediawiki>" + "".join(NAMESPACES), Reason.BAD_XML),
        ('<?xml version="1.0" encoding="klingon"?>' + HEAD, Reason.UNKNOWN_ENCODING),
        ('<?xml version="1.0" encoding="gbk"?>' + HEAD, Reason.UNKNOWN_ENCODING),
    ],
)
def test_no_other_xml_is_read(dump: str, reason: Reason) -> None:
    assert kinds(read(dump)) == [reason]


def test_an_entity_bomb_does_not_grow() -> None:
    entities = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(20))
    dump = f'<!DOCTYPE x [<!ENTITY e0 "bomb">{entities}]>{HEAD}{page("a")}&e20;'
    assert kinds(read(dump)) == [Reason.BAD_XML]


@pytest.mark.parametrize("beginning", ["<!--", "<page ", "<?x ", '<page a="', "<"])
def test_a_tag_without_end_is_not_read_to_the_end(beginning: str) -> None:
    def pieces() -> Iterator[bytes]:
        yield (HEAD + beginning).encode()
        for _ in range(7):
            yield b"x" * 2**20
        pytest.fail("read on")

    with pytest.raises(FileRefusedError, match="bad_xml"):
        list(read_mediawiki(pieces(), source="a.xml", max_bytes=100))


def test_utf16_is_read() -> None:
    dump = HEAD + page("Grüße") + END
    assert kinds(read(b"\xff\xfe" + dump.encode("utf-16-le"))) == ["Grüße"]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (HEAD, True),
        ('\ufeff<?xml version="1.0"?>\n<!-- x -->\n' + HEAD, True),
        ("<mediawiki>", True),
        ("<mediawikis>", False),
        ("text about <mediawiki>", False),
        ("<html>", False),
        ("", False),
    ],
)
def test_dumps_are_known_by_their_beginning(head: str, expected: bool) -> None:
    assert looks_like_mediawiki(head) is expected


MARKUP = {
    "'''bold''' and ''italic'' and '''''both'''''": "bold and italic and both",
    "l'''arte'' and '''Foo ''x'' bar''' don't": "l'arte and Foo x bar don't",
    "[[a]]s [[b|c]] [[d (e)|]] [[#f|g]] [[:Category:h]] [[wikt:i|j]]": (
        "as c d (e) g Category:h j"
    ),
    "x\n[[Category:a|b]]\n[[de:a]]\n[[zh-min-nan:a]]\n[[simple:a]]\ny": "x\ny",
    "a [[File:b.jpg|thumb|a [[c|d]] {{e}}]] f": "a f",
    "a [[datei:b.jpg]] [[Bild:c]] [[Fichier:d]] [[ファイル:e]] f": "a f",
    "[http://x.y] [https://x.y a label] [//x.y b] [mailto:a@b c] http://z": "a label b c http://z",
    "a{{b|c={{d|{{{1|e}}}}}|[[f]]}}g": "ag",
    "{{{a}} {{b}}} {{c}": "{ } {{c}",
    "Foo ({{IPA|x}}; born {{date}}) is, {{x}}, f().": "Foo (born) is,, f().",
    "({{a}}, {{b}}) c {{d}}. (e)": "c. (e)",
    "a<ref>b {{c}}</ref> d<ref name='e' />, <REF>f</REF >g": "a d, g",
    "a<!-- b -->c <!-- d": "ac",
    "a <math>x^{2}_{{1}}</math> b<gallery>\nc\n</gallery>": "a b",
    "<nowiki>''a'' [[b]] &lt; {{c}}</nowiki><nowiki />": "''a'' [[b]] < {{c}}",
    "<pre>\n  a = '''b'''\n* c</pre>": "  a = '''b'''\n* c",
    '<syntaxhighlight lang="c">\nif (a[[0]] < &amp;b) ;\n</syntaxhighlight>': (
        "if (a[[0]] < &amp;b) ;"
    ),
    "a<br/>b<sub>2</sub> <div class='x'>c</div> <x>d</x> 1 < 2 > 1": "a\nb2\nc\n<x>d</x> 1 < 2 > 1",
    "= A =\n== B ''c'' == <!-- d -->\ne = f": "A\nB c\ne = f",
    "* a\n** b\n#c\n; d : e\n:: f\n----\ng": "a\nb\nc\nd : e\nf\n\ng",
    "a\n{| class='b'\n! c\n|-\n| d || {{e}}\n{|\n| f\n|}\n|}\ng": "a\ng",
    "{{a\n| b = {|\n| c =\n|}}d {| e |} f": "d {| e |} f",
    "{{a\n|b=\n{|\n|c\n|}}}d": "d",
    "a\n{|\n| b {{c\n|}\nd": "a\nd",
    "a\n{|\n| cell\n|-\n| cell\nb": "a\nb",
    "__NOTOC__\n__INHALTSVERZEICHNIS__\na__b__c": "a__b__c",
    "a&nbsp;b &amp;lt; &eacute;&#x41;&#66; &copy &bogus; &#xD800;": (
        "a b &lt; éAB &copy &bogus; \ufffd"
    ),
    "a\n\n\n\n{{b}}\n\n\nc  \t d": "a\n\nc d",
    "{{Infobox\n| never = closed\n'''Text'''": "{{Infobox\nText",
    "<ref>never closed, [[a|b]]": "never closed, b",
    "[[never closed, a": "[[never closed, a",
    "]] }} |} a": "]] }} |} a",
    "": "",
}


@pytest.mark.parametrize(("markup", "expected"), MARKUP.items())
def test_markup_becomes_text(markup: str, expected: str) -> None:
    assert strip_markup(markup) == expected


MARKS = (
    *("{{", "}}", "[[", "]]", "{|", "|}", "|", "\n", "<ref>", "</ref>", "<ref/>", "<nowiki>"),
    *("</nowiki>", "<!--", "-->", "''", "'''", "==", "*", " ", "a", "File:", "http://", "[", "]"),
    *("&lt;", "&#", "(", ")", ",", "__", "<br>", "<", ">", "\0", "{", "}", "{{{", "\n|}", "\n{|"),
)


@given(markup=st.lists(st.sampled_from(MARKS) | st.text(max_size=4), max_size=60).map("".join))
def test_no_markup_is_a_crash(markup: str) -> None:
    text = strip_markup(markup)
    assert isinstance(text, str)
    assert "\0" not in text
    assert "\n\n\n" not in text


@given(words=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), min_size=1))
def test_plain_words_stay(words: list[str]) -> None:
    assert strip_markup(" ".join(words)) == " ".join(words)


@pytest.mark.timeout(20)  # each takes a fraction of a second; with squared time, minutes
@pytest.mark.parametrize("unit", [*MARKS, "{{a}} ", "({{a}})", "{{a|", "[[a|", "<ref name=", "_A_"])
def test_repeated_marks_take_linear_time(unit: str) -> None:
    text = strip_markup(unit * (200_000 // len(unit)) + "x")
    assert (text is Reason.TOO_DEEP) == (unit in ("[", "[[", "{{a|", "[[a|", "\n{|"))


@pytest.mark.parametrize(("opening", "closing"), [("{{a|", "}}"), ("[[a|", "]]"), ("\n{|", "\n|}")])
def test_deep_nesting_is_refused(opening: str, closing: str) -> None:
    assert strip_markup(opening * 400 + closing * 400 + "x") in ("x", "ax")
    assert strip_markup(opening * 10_000 + closing * 10_000) == Reason.TOO_DEEP
    dump = HEAD + page(opening * 501) + page("b") + END
    assert kinds(read(dump)) == [Reason.TOO_DEEP, "b"]
