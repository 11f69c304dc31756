"""Text files become documents whole, or cut at separators or headings, and lose nothing else."""

import tracemalloc
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ingest.pages.plain_text import Cutting, Markup, Unit, read_text
from tasks.ingest.reading.records import Reason, Record, Refusal

PIECE_BYTES = 7
WHOLE = Cutting()


def read(
    text: str | bytes,
    markup: Markup = Markup.PLAIN,
    cutting: Cutting = WHOLE,
    *,
    max_bytes: int = 10_000,
    piece_bytes: int = PIECE_BYTES,
) -> list[Record | Refusal]:
    data = text.encode() if isinstance(text, str) else text
    pieces = (data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes))
    return list(
        read_text(
            pieces,
            source="a.txt",
            markup=markup,
            cutting=cutting,
            max_bytes=max_bytes,
            min_confidence=0.9,
        )
    )


def texts(found: list[Record | Refusal]) -> list[str | None]:
    assert all(isinstance(one, Record) for one in found), found
    return [one.text for one in found if isinstance(one, Record)]


def titles(found: list[Record | Refusal]) -> list[str | None]:
    return [one.columns.get("title") for one in found if isinstance(one, Record)]


def at_separator(separator: str) -> Cutting:
    return Cutting(Unit.SEPARATOR, separator)


def at_heading(max_level: int = 2) -> Cutting:
    return Cutting(Unit.HEADING, max_heading_level=max_level)


@pytest.mark.parametrize("markup", [Markup.PLAIN, Markup.MARKDOWN, Markup.RST])
def test_a_file_is_one_document_as_its_author_wrote_it(markup: Markup) -> None:
    text = " first\r\n\r\n  *second* line \n\n\n"
    [found] = read(b"\xef\xbb\xbf" + text.encode(), markup)
    assert isinstance(found, Record)
    assert (found.text, found.doc_id, found.number, found.byte_offset) == (text, "a.txt#0", 0, 0)
    assert (found.columns, found.num_bytes, found.preview) == ({}, 3 + len(text), text.encode())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
@pytest.mark.parametrize("cutting", [WHOLE, at_separator("%")])
def test_other_encodings_are_read(encoding: str, cutting: Cutting) -> None:
    assert texts(read("Grüße aus Köln".encode(encoding), cutting=cutting)) == ["Grüße aus Köln"]


def test_a_file_that_is_too_long_is_not_read_to_its_end() -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(11):
            yield b"x" * 10
        pytest.fail("read on")

    found = list(
        read_text(
            endless(),
            source="a.txt",
            markup=Markup.HTML,
            cutting=WHOLE,
            max_bytes=100,
            min_confidence=0.9,
        )
    )
    assert found == [Refusal(0, Reason.TOO_LONG, 0, b"x" * 110)]


def test_bytes_that_do_not_decode_are_pointed_at() -> None:
    text = b"Plain English words, and many of them, but one is br\xffken.\n"
    assert read(text) == [Refusal(0, Reason.INVALID_UTF8, 52, b"\xffken.\n")]


MARKDOWN_TITLES = {
    "# One\ntext": "One",
    "text\n\n#   One ##  \n": "One",
    "## Two\n\n# One": "One",
    "One\n===\n\ntext": "One",
    "## Two\n\ntext": None,
    "One\n---\n": None,
    "```\n# code\n```\n\n# One\n": "One",
    "~~~ sh\n```\n# code\n~~~~\n# One": "One",
    "    # code\n\n#no heading\n": None,
    "<!--\n# hidden\n-->\n# One\n": "One",
    "<pre>\n# code\n</pre>\n# One\n": "One",
    "a paragraph\nof lines\n===\n": None,
    "#\n\n# One": None,
    "# C#\n": "C#",
}


@pytest.mark.parametrize(("text", "title"), MARKDOWN_TITLES.items())
def test_the_title_of_markdown_is_its_first_heading(text: str, title: str | None) -> None:
    found = read(text, Markup.MARKDOWN)
    assert (titles(found), texts(found)) == ([title], [text])


FRONT_MATTER = {
    '---\ntitle: "A: \\"B\\""\ntags:\n  - x\n---\n# Other\n': ('A: "B"', "# Other\n"),
    "---\nTitle:  It's   so  # really\n...\ntext": ("It's so", "text"),
    "---\ntitle: 'Don''t'\n---\ntext\n": ("Don't", "text\n"),
    "---\ndate: 2020-01-01\n---\n\n# One\n": ("One", "\n# One\n"),
    "---\ntitle: >\n  folded\n---\n# One\n": ("One", "# One\n"),
    "---\ntitle: x\n---": ("x", ""),
    "---\nA line of text that only follows a rule.\n---\n": (
        None,
        "---\nA line of text that only follows a rule.\n---\n",
    ),
    "---\ntitle: never closed\n": (None, "---\ntitle: never closed\n"),
    "text\n---\ntitle: x\n---\n": (None, "text\n---\ntitle: x\n---\n"),
}


@pytest.mark.parametrize(("text", "expected"), FRONT_MATTER.items())
def test_front_matter_gives_the_title_and_is_no_text(
    text: str, expected: tuple[str | None, str]
) -> None:
    found = read(text, Markup.MARKDOWN)
    assert (titles(found)[0], texts(found)[0]) == expected


RST_TITLES = {
    "=====\nTitle\n=====\n\nPart\n----\n": "Title",
    "text\n\nPart\n~~~~\n": "Part",
    ".. _label:\n\nPart 1\n======\n": "Part 1",
    "no title, short mark\n--\n": None,
    "a paragraph\nof lines\n========\n": None,
    "text\n\n    Code\n    ====\n": None,
    "- item\n------\n": None,
    "====  ====\nA     B\n====  ====\n": None,
    "text\n\n--------\n\ntext\n": None,
    "Größe\n=====\n": "Größe",
}


@pytest.mark.parametrize(("text", "title"), RST_TITLES.items())
def test_the_title_of_rst_is_its_first_heading(text: str, title: str | None) -> None:
    found = read(text, Markup.RST)
    assert (titles(found), texts(found)) == ([title], [text])


lines = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\0\x1b"), max_size=12), max_size=8
)


@given(parts=st.lists(lines, max_size=6), piece_bytes=st.integers(1, 40))
def test_separators_give_back_all_between_them(parts: list[list[str]], piece_bytes: int) -> None:
    parts = [[line for line in part if line.rstrip(" \t\r\x0b\f") != "%%"] for part in parts]
    data = "\n%% \r\n".join("\n".join(part) for part in parts).encode() + b"\n"
    data = b"%%\n" + data if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe")) else data
    found = read(data, cutting=at_separator("%%"), piece_bytes=piece_bytes)
    whole = ["\n".join(part) for part in parts]
    assert [text for text in texts(found) if text] == [text for text in whole if text.strip()]
    for number, one in enumerate(found):
        assert isinstance(one, Record)
        assert one.byte_offset is not None
        assert one.num_bytes is not None
        assert one.text == data[one.byte_offset :][: one.num_bytes].decode()
        assert (one.number, one.doc_id) == (number, f"a.txt#{number}")


def test_no_separator_means_paragraphs() -> None:
    text = "\n\nOne line\nand another\n \t\n\n\nTwo\n\nThree"
    found = read(text, cutting=at_separator(""))
    assert texts(found) == ["One line\nand another", "Two", "Three"]
    assert [one.byte_offset for one in found] == [2, 28, 33]


def test_what_is_too_long_or_does_not_decode_is_refused_alone() -> None:
    data = b"good\n--\n" + b"long " * 60 + b"\n--\nb\xffd and more words\n--\nfine\n"
    found = read(data, cutting=at_separator("--"), max_bytes=200)
    assert found[1:3] == [
        Refusal(1, Reason.TOO_LONG, 8, (b"long " * 60)[:200]),
        Refusal(2, Reason.INVALID_UTF8, 313, b"\xffd and more words", 18),
    ]
    assert texts([found[0], found[3]]) == ["good", "fine"]
    assert [one.number for one in found] == [0, 1, 2, 3]


def test_a_bad_part_of_another_encoding_is_refused_alone() -> None:
    data = "gut\n--\nGrüße\n--\n".encode("utf-16-le") + b"\x00\xd8" + "\n--\nja".encode("utf-16-le")
    found = read(b"\xff\xfe" + data, cutting=at_separator("--"))
    assert texts([*found[:2], *found[3:]]) == ["gut", "Grüße", "ja"]
    assert isinstance(found[2], Refusal)
    assert (found[2].reason, found[2].byte_offset) == (Reason.INVALID_ENCODING, None)


def test_what_is_no_text_is_refused_before_it_is_cut() -> None:
    [found] = read(b"\x00\x01\xff\n\x00" * 50, cutting=at_separator("--"))
    assert isinstance(found, Refusal)
    assert (found.number, found.reason) == (None, Reason.UNKNOWN_ENCODING)


def test_markdown_is_cut_at_headings() -> None:
    text = (
        "---\ntitle: All\n---\nBefore\n# A\ntext\n### deeper\n\n```\n# code\n```\n"
        "Second\n------\nmore\n\nThird *one*\n===\nend\n"
    )
    found = read(text, Markup.MARKDOWN, at_heading())
    assert texts(found) == [
        "Before",
        "# A\ntext\n### deeper\n\n```\n# code\n```",
        "Second\n------\nmore\n",
        "Third *one*\n===\nend",
    ]
    assert titles(found) == ["All", "A", "Second", "Third *one*"]
    assert [one.byte_offset for one in found] == [text.index(t or "") for t in texts(found)]


def test_headings_count_down_to_a_level() -> None:
    text = "# A\n## B\n### C\n"
    assert titles(read(text, Markup.MARKDOWN, at_heading(1))) == ["A"]
    assert titles(read(text, Markup.MARKDOWN, at_heading(3))) == ["A", "B", "C"]


def test_rst_is_cut_at_headings_by_the_order_of_their_styles() -> None:
    text = (
        "=====\n All\n=====\nintro\n\nA\n=\ntext\n\nDeep\n~~~~\n\nB\n====\n::\n\n  Code\n  ====\n\n"
        "####\nMore\n####\n"
    )
    found = read(text, Markup.RST, at_heading())
    assert titles(found) == ["All", "A", "B"]
    assert "\n".join(text or "" for text in texts(found)) + "\n" == text
    assert titles(read(text, Markup.RST, at_heading(1))) == ["All"]


def test_text_without_markup_has_no_headings() -> None:
    text = "# A\ntext\n# B\n"
    assert texts(read(text, cutting=at_heading())) == [text]


MARKED_LINES = (
    *("# A", "## B ##", "Title", "=====", "-----", "```", "~~~~", "", "text", "<!--", "-->"),
    *("---", "title: x", "    code", "- item", ".. x", "\r"),
)


@given(
    content=st.lists(st.sampled_from(MARKED_LINES) | st.text(max_size=5), max_size=30),
    markup=st.sampled_from([Markup.MARKDOWN, Markup.RST]),
    size=st.integers(1, 50),
)
def test_cutting_at_headings_loses_nothing(content: list[str], markup: Markup, size: int) -> None:
    text = "start\n" + "\n".join(content)
    found = read(text, markup, at_heading(6), piece_bytes=size)
    assert "\n".join(found or "" for found in texts(found)) == text.removesuffix("\n")


@given(
    data=st.binary(max_size=300),
    markup=st.sampled_from([Markup.PLAIN, Markup.MARKDOWN, Markup.RST]),
    cutting=st.sampled_from([WHOLE, at_separator(""), at_separator("\n"), at_heading()]),
)
def test_no_bytes_are_a_crash(data: bytes, markup: Markup, cutting: Cutting) -> None:
    for one in read(data, markup, cutting, max_bytes=200, piece_bytes=64):
        assert isinstance(one, Refusal) or isinstance(one.text, str)


@pytest.mark.parametrize("entry", [b"A line of an entry. " * 8 + b"\n\n", b"l\n"])
def test_a_long_file_is_cut_in_little_memory(entry: bytes) -> None:
    pieces = (entry * (2**16 // len(entry)) for _ in range(60 if len(entry) > 2 else 8))
    tracemalloc.start()
    found = read_text(
        pieces,
        source="a.txt",
        markup=Markup.PLAIN,
        cutting=at_separator(""),
        max_bytes=1000,
        min_confidence=0.9,
    )
    counts = Counter(getattr(one, "reason", None) for one in found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts == ({None: 60 * 404} if len(entry) > 2 else {Reason.TOO_LONG: 1})
    assert peak < 5 * 2**19
