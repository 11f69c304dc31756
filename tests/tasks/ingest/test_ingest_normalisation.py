"""A normalised text keeps its content, loses its debris, and is the same when normalised again."""

import sys
import time
import tracemalloc
import unicodedata
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.ingest.cleaning.normalisation import Found, collapse_blank_lines, normalise, whole_lines

SPECIAL = (
    " \t\n\r\v\f\0\x1b\x85\x9f\xa0\xad\u2000\u2028\u202f\u3000\u200d\u200f\ufeff\uffff\U0001fffe"
    "ae\u0301\u0323\u0344\u01d6\u1820\u1100\u1161\u212b\u0f73\u0ece\U0001d165\U0001f600"
)
wild_texts = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.text(SPECIAL, max_size=200),
    st.lists(
        st.tuples(st.sampled_from(SPECIAL), st.integers(1, 70)).map(lambda run: run[0] * run[1]),
        max_size=6,
    ).map("".join),
)


def plain(text: str) -> str:
    return normalise(text)[0]


@pytest.mark.parametrize(
    ("text", "expected", "counts"),
    [
        ("a\0b\x01\x1b\x7f\x9fc", "abc", {Found.NUL: 1, Found.CONTROL: 4}),
        (
            "a\r\nb\rc\vd\fe\x85f\u2028g\u2029h",
            "a\nb\nc\nd\ne\nf\ng\nh",
            {Found.LINE_END: 7},
        ),
        ("a\ufeffb\ufffec\U0010ffffd", "abcd", {Found.BYTE_ORDER_MARK: 1, Found.NONCHARACTER: 2}),
        ("Silben\xadtren\xadnung", "Silbentrennung", {Found.SOFT_HYPHEN: 2}),
        ("10\xa0km\u2009und\u202f!", "10 km und !", {Found.SPECIAL_SPACE: 3}),
        ("\u3000你好\u3000吗\u3000", "\u3000你好\u3000吗", {Found.TRAILING_BLANK: 1}),
        ("a \t\n\xa0\nb  ", "a\n\nb", {Found.TRAILING_BLANK: 5, Found.SPECIAL_SPACE: 1}),
        ("\n \n  a\n\n\n\nb\n", "  a\n\nb", {Found.SURPLUS_NEWLINE: 5, Found.TRAILING_BLANK: 1}),
        ("if x:\n\ty  =  1", "if x:\n\ty  =  1", {}),
        ("e\u0301 \u212b", "é Å", {Found.NOT_COMPOSED: 1}),
        ("e\xad\u0301", "é", {Found.SOFT_HYPHEN: 1, Found.NOT_COMPOSED: 1}),
        ("می\u200cخواهم\u200f", "می\u200cخواهم\u200f", {Found.ZERO_WIDTH: 1, Found.BIDI_MARK: 1}),
        ("👩\u200d🚀", "👩\u200d🚀", {Found.ZERO_WIDTH: 1}),
        ("caf\ufffd", "caf\ufffd", {Found.REPLACEMENT: 1}),
        ("ᠬᠠᠭᠠᠨ\u202fᠤ", "ᠬᠠᠭᠠᠨ\u202fᠤ", {}),
        (
            "a" + "\u0301" * 61,
            "á" + ("\u0301" * 29 + "\u034f" + "\u0301" * 30 + "\u034f\u0301"),
            None,
        ),
        (" \n\t\n", "", {Found.TRAILING_BLANK: 2, Found.SURPLUS_NEWLINE: 2}),
        ("", "", {}),
    ],
)
def test_each_class_is_treated_and_counted(
    text: str, expected: str, counts: dict[Found, int] | None
) -> None:
    found = normalise(text)
    assert found[0] == expected
    if counts is not None:
        assert found[1] == Counter(counts)


@given(text=wild_texts)
@example("\r\0\n")
@example("ǖ" + "\u0323" * 31)
@example("a" + "\u0344" * 20)
@example("\u0344" * 31 + "\0" + "\u0344" * 31)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once, counts = normalise(text)
    twice, counts_again = normalise(once)
    assert twice == once
    kept = {Found.BIDI_MARK, Found.ZERO_WIDTH, Found.REPLACEMENT}
    assert counts_again == Counter({found: counts[found] for found in kept})


@given(text=wild_texts)
def test_what_is_kept_is_whole(text: str) -> None:
    def letters(text: str) -> Counter[str]:
        decomposed = unicodedata.normalize("NFD", text)
        return Counter(mark for mark in decomposed if unicodedata.category(mark)[0] in "LNPSM")

    before, after = letters(text), letters(plain(text))
    assert (
        after.pop("\u034f", 0) - before.pop("\u034f", 0) == normalise(text)[1][Found.LONG_ACCENTS]
    )
    assert after == before


@given(text=wild_texts)
def test_the_form_is_what_it_says(text: str) -> None:
    text = plain(text)
    assert unicodedata.is_normalized("NFC", text)
    assert not set(text) & set("\0\r\v\f\x85\u2028\u2029\ufeff\xa0\xad\x1b\x7f")
    assert "\n\n\n" not in text
    assert text.strip("\n") == text
    assert all(line.rstrip(" \t\u3000") == line for line in text.split("\n"))


def expected_between_letters(mark: str) -> str:
    """What becomes of a character, by the character database and not by the lists in the code."""
    category, is_last = unicodedata.category(mark), ord(mark) & 0xFFFE == 0xFFFE
    is_noncharacter = is_last or 0xFDD0 <= ord(mark) <= 0xFDEF
    if mark in "\n\r\v\f\x85\u2028\u2029":
        return "a\nb"
    if (category == "Cc" and mark != "\t") or is_noncharacter or mark in "\ufeff\xad":
        return "ab"
    if category == "Zs" and mark not in "\u1680\u3000":
        return "a b"
    return unicodedata.normalize("NFC", f"a{mark}b")


def test_every_character_becomes_what_its_kind_says() -> None:
    for first in range(0, sys.maxunicode + 1, 1024):
        if 0xD800 <= first < 0xE000:
            continue
        marks = list(map(chr, range(first, first + 1024)))
        text = "\n".join(f"a{mark}b" for mark in marks)
        assert plain(text) == "\n".join(map(expected_between_letters, marks))


def test_a_clean_text_is_given_back_as_it_is() -> None:
    for text in ("Plain words.\n\nAnd more.\tEnd", "Žluťoučký kůň\n\nпел", "你好，世界"):
        assert normalise(text) == (text, Counter())
        assert plain(text) is text


@pytest.mark.parametrize(
    "unit",
    [
        "\u0301\u0323",
        "\U0001d165\U0001d16d",
        "\n",
        "\n\n\na",
        " ",
        "a ",
        " \n",
        "a\ufeff",
        "\r",
        "\r\n",
    ],
)
def test_hostile_texts_take_linear_time_and_bounded_memory(unit: str) -> None:
    text = unit * (2**20 // len(unit))
    start = time.process_time()
    normalise(text)
    assert time.process_time() - start < 3
    tracemalloc.start()
    normalise(text[: 2**18])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


@given(lines=st.lists(st.sampled_from(["", "a", "b" * 70_000]), max_size=8))
def test_pieces_are_whole_lines(lines: list[str]) -> None:
    text = "\n".join(lines)
    pieces = list(whole_lines(text))
    assert "".join(pieces) == text
    assert all(piece.endswith("\n") and len(piece) > 2**16 for piece in pieces[:-1])


@given(text=st.text("a\n", max_size=100))
def test_blank_lines_collapse(text: str) -> None:
    found = collapse_blank_lines(text)
    assert [line for line in found.split("\n") if line] == [
        line for line in text.split("\n") if line
    ]
    assert "\n\n\n" not in f"{found}"
    assert found == found.strip("\n")
