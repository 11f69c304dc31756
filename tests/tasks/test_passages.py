"""The passage shown for a hit."""

import re

from hypothesis import given
from hypothesis import strategies as st

from tasks.passages import _best_start, best_passage

LONG = "Nothing here. " * 30 + "The ship left the harbour at dawn. " + "More of nothing. " * 30


def test_a_short_text_is_shown_whole_with_blanks_narrowed() -> None:
    assert best_passage("a\n\n  b", "q") == "a b"


def test_the_passage_with_most_words_of_the_query() -> None:
    passage = best_passage(LONG, "HARBOUR ship")
    assert passage.startswith("… ship left the harbour")
    assert passage.endswith(" …")


def test_without_a_common_word_the_beginning() -> None:
    passage = best_passage(LONG, "zebra")
    assert passage.startswith("Nothing here.")
    assert passage.endswith(" …")


@given(st.text(max_size=400), st.text(max_size=40), st.integers(10, 80))
def test_a_passage_is_a_bounded_stretch_of_the_text(text: str, query: str, limit: int) -> None:
    passage = best_passage(text, query, limit)
    plain = " ".join(text.split())
    inner = passage
    if len(plain) > limit:
        inner = passage.removeprefix("… ") if passage.startswith("… ") else passage
        inner = inner.removesuffix(" …")
    assert inner in plain
    assert len(inner) <= limit


@given(st.text("ab c", max_size=200), st.text("ab c", max_size=20), st.integers(5, 30))
def test_no_other_passage_has_more_words_of_the_query(text: str, query: str, limit: int) -> None:
    plain = " ".join(text.split())
    wanted = set(query.split())

    def count(start: int) -> int:
        starts = [m for m in re.finditer(r"\w+", plain) if start <= m.start() < start + limit]
        return len({m.group() for m in starts} & wanted)

    if len(plain) > limit:
        begins = best_passage(text, query, limit).startswith("… ")
        best = max(count(start) for start in range(len(plain)))
        found = _best_start(plain, wanted, limit)
        assert count(found) == best
        assert begins == (found > 0)


def test_a_whole_document_may_be_the_query() -> None:
    text = " ".join(f"word{number}" for number in range(30_000))
    assert best_passage(text, text).startswith("word0 word1")
