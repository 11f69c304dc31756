"""Documents in two halves that share nothing."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.evaluate.halves import cut_in_halves, recurring_lines, without_lines
from tasks.evaluate.words import words_of

wild_texts = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("ab .!?\n。漢字")),
    max_size=120,
)


@given(wild_texts, st.integers(1, 5))
def test_every_word_is_in_exactly_one_half_and_both_are_long_enough(
    text: str, min_words: int
) -> None:
    words = words_of(text)
    halves = cut_in_halves(text, min_words=min_words)
    if len(words) < 2 * min_words:
        assert halves is None
        return
    assert halves is not None
    first, second = (words_of(half) for half in halves)
    assert len(first) >= min_words
    assert len(second) >= min_words
    # a word may be spelled otherwise in lower case at the edge, never lost
    assert first + second == words


def test_the_cut_is_the_sentence_end_nearest_the_middle() -> None:
    text = "One two. Three four five six (seven)! Eight nine ten.\nEleven."
    assert cut_in_halves(text, min_words=2) == (
        "One two. Three four five six (seven)!",
        "Eight nine ten.\nEleven.",
    )


def test_without_a_sentence_end_the_middle_word_decides() -> None:
    assert cut_in_halves("a b c d e f", min_words=3) == ("a b c", "d e f")
    # the only sentence end leaves too little before it
    assert cut_in_halves("a. b c d e f", min_words=3) == ("a. b c", "d e f")


def test_scripts_without_blanks_have_words_and_sentences() -> None:
    text = "吾輩は猫である。名前はまだ無い。"
    assert cut_in_halves(text, min_words=5) == ("吾輩は猫である。", "名前はまだ無い。")


def test_an_abbreviated_decimal_is_no_sentence_end() -> None:
    assert cut_in_halves("pi is 3.14159 or so they say", min_words=3) == (
        "pi is 3.14159",
        "or so they say",
    )


def test_lines_of_many_documents_go_and_others_stay() -> None:
    texts = [f"  All rights reserved \nstory {number}\nshared once" for number in range(20)]
    texts[5:] = [text.replace("shared once", "own") for text in texts[5:]]
    lines = recurring_lines(texts, num_texts=20, frac=0.3)
    assert lines == {"All rights reserved", "own"}
    assert without_lines(texts[0], lines) == "story 0\nshared once"


def test_a_line_repeated_inside_one_document_does_not_recur() -> None:
    texts = ["la la\n" * 50, "other", "third"]
    assert not recurring_lines(texts, num_texts=3, frac=0.05)


def test_few_documents_have_no_recurring_lines_and_fraction_one_keeps_all() -> None:
    assert not recurring_lines(["x"] * 4, num_texts=4, frac=0.05)
    assert recurring_lines(["x"] * 5, num_texts=5, frac=0.05) == {"x"}
    assert not recurring_lines(["x"] * 100, num_texts=100, frac=1.0)
