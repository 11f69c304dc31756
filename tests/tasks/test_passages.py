"""The passage shown for a hit."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.passages import best_passage

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
