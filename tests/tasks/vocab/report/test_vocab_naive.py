"""What goes wrong naively, against corpora in which it can be counted by hand."""

from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.bpe import reference
from model.bpe.alphabet import BYTES
from tasks.vocab.config import VocabConfig
from tasks.vocab.pretokens import count_texts
from tasks.vocab.report.examples import MergeTables
from tasks.vocab.report.measures import Sample
from tasks.vocab.report.naive import find_pitfalls, replace_text
from tasks.vocab.report.naive_text import lost_white_space, other_cuts, unseen_characters
from tests.tasks.vocab.inputs import small_rows
from tests.tasks.vocab.report.made import make_vocabulary, train_texts

CONFIG = VocabConfig(vocab_size=400, min_frequency=1)


def figures(texts: list[str], config: VocabConfig = CONFIG) -> dict[str, dict[str, float]]:
    vocabulary = make_vocabulary(texts, config)
    assert vocabulary.words is not None
    assert vocabulary.learned is not None
    found = find_pitfalls(vocabulary.words, MergeTables(vocabulary.learned))
    return {pitfall.name: pitfall.figures for pitfall in found}


@pytest.fixture(scope="module")
def topics() -> dict[str, dict[str, float]]:
    return figures(train_texts(small_rows()))


def test_overlapping_pairs_in_runs_are_counted_by_hand() -> None:
    found = figures(["aaaaa aa", "aaaaa b"])["overlaps"]  # 2 * "aaaaa", " aa", " b"
    assert found["num_counted"] == 2 * 4 + 1
    assert found["num_possible"] == 2 * 2 + 1


@settings(deadline=None)
@given(st.lists(st.text("ab ", min_size=1), min_size=1, max_size=5))
def test_overlaps_agree_with_a_plain_count(texts: list[str]) -> None:
    words = count_texts(texts, CONFIG)
    runs = [(len(list(run)), count) for word, count in words for _, run in groupby(word)]
    found = figures(texts)["overlaps"]
    assert found["num_counted"] == sum((n - 1) * count for n, count in runs)
    assert found["num_possible"] == sum(n // 2 * count for n, count in runs)


def test_competing_pairs_are_those_the_reference_refuses(
    topics: dict[str, dict[str, float]],
) -> None:
    words = dict(count_texts(train_texts(small_rows()), CONFIG))
    frequencies = reference.expect(reference.initialize(words, BYTES), words)
    top = sorted(frequencies, key=lambda pair: (-frequencies[pair], pair))[:100]
    right_of: set[int] = set()
    left_of: set[int] = set()
    num_refused = 0
    for left, right in top:
        if left in right_of or right in left_of:
            num_refused += 1
        else:
            left_of.add(left)
            right_of.add(right)
    assert topics["competing_pairs"] == {"num_pairs": 100, "num_competing": num_refused}
    assert num_refused > 0


def test_replacing_text_joins_what_is_no_pair() -> None:
    assert replace_text(["x ab b c"], [("b", "b")]) == ["x abb c"]
    assert replace_text(["a b", "b a"], [("a", "b")]) == ["ab", "b a"]


def test_words_cut_otherwise_by_replacing_text_are_counted() -> None:
    """After `he`, `t h` never stands alone; `nt h` of `nthe` is no pair but the text has it."""
    texts = ["ab"] * 9 + ["cb"] * 8 + ["cbd"] * 7 + ["bd"] * 6
    found = figures(texts, VocabConfig(vocab_size=400, min_frequency=2))["string_replacement"]
    assert found["num_words"] == 4
    assert found["num_different"] == 0  # merges: ab, cb, cbd, bd; `cb d` is merged before `b d`
    texts = ["ab"] * 9 + ["bd"] * 8 + ["abd"] * 1
    found = figures(texts, VocabConfig(vocab_size=400, min_frequency=2))["string_replacement"]
    assert found["num_different"] == 1  # `ab d` is no pair, but its text holds `b d`
    assert found["different_frac"] == pytest.approx(1 / 18)


def test_recounting_is_bounded_by_both_ends(topics: dict[str, dict[str, float]]) -> None:
    found = topics["recounting"]
    assert found["num_rounds"] == 400 - 261
    assert found["text_tokens"] == sum(len(text.encode()) for text in train_texts(small_rows()))
    assert found["text_tokens"] < found["text_visits"]
    assert found["text_visits"] < found["num_rounds"] * found["text_tokens"]
    assert found["least_word_visits"] < found["most_word_visits"]


def test_ties_and_frequencies_are_those_of_the_merges() -> None:
    found = figures(["ab ab ab", "cd cd", "ef ef"])
    assert found["overflow"]["largest_frequency"] == 3  # (a, b)
    num_bytes = len("ab ab abcd cdef ef")
    assert found["overflow"]["wraps_at_gb"] == pytest.approx(num_bytes * 2**31 / 3 / 1e9)
    assert 0 < found["ties"]["num_tied"] < found["ties"]["num_merges"]


def test_tokens_on_the_way_to_longer_ones_are_found() -> None:
    found = figures(["abc abc abc"])["intermediate_tokens"]
    # ab, abc, " abc": of these only ab is in no final word
    assert found == {"num_unused": 1, "num_merges": 3}


def test_long_words_are_counted_in_bytes() -> None:
    found = figures(["é" * 501 + " a a a"])["long_words"]
    assert found == {"longest_bytes": 1002, "num_long": 1, "long_frac": pytest.approx(1 / 4)}


def test_a_vocabulary_without_merges_has_figures_too() -> None:
    found = figures(["a b"], VocabConfig(vocab_size=261))
    assert found["overflow"] == {"largest_frequency": 0}
    assert found["ties"] == {"num_tied": 0, "num_merges": 0}
    assert found["recounting"]["text_visits"] == 0


@pytest.mark.parametrize("symbols", ["bytes", "characters"])
def test_a_text_of_one_letter_has_no_pairs(symbols: str) -> None:
    config = VocabConfig(vocab_size=300, symbols=symbols)
    assert figures(["é"], config)["overlaps"]["num_counted"] == 0


def test_characters_are_compared_whole() -> None:
    found = figures(["ééé"], VocabConfig(vocab_size=300, symbols="characters"))["overlaps"]
    assert (found["num_counted"], found["num_possible"]) == (2, 1)
    assert figures(["ééé"])["overlaps"]["num_counted"] == 0  # its bytes alternate


def test_giant_words_cost_nothing_to_replay() -> None:
    assert figures(["a" * 200_000 + " b b"])["string_replacement"]["num_words"] == 1


def test_characters_that_training_never_showed_are_found() -> None:
    words = count_texts(["the cat"], CONFIG)
    pitfall = unseen_characters(words, Sample(["the dog\tran", "c字 at"]))
    assert pitfall.figures == {
        "num_characters": 6,
        "num_words": 3,
        "word_frac": pytest.approx(3 / 5),
    }
    assert ["字", "U+5B57"] in pitfall.examples


def test_lost_white_space_is_counted_by_text() -> None:
    assert lost_white_space(Sample(["a b", "a  b", "a\n", ""])).figures["num_changed"] == 2


def test_lines_and_documents_are_cut_differently() -> None:
    """Over whole documents the line breaks of an empty line are one pretoken."""
    found = other_cuts(Sample(["one\n\ntwo, two"]), VocabConfig()).figures
    assert found["num_lost_by_line"] == 1
    assert found["num_pretokens"] == 5
    assert (found["num_distinct"], found["num_distinct_by_white_space"]) == (3, 3)
