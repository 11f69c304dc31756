"""What is measured of a tokenizer, against small texts counted by hand and by other means."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from tasks.vocab.config import VocabConfig
from tasks.vocab.report import measures
from tasks.vocab.report.measures import (
    Sample,
    Spans,
    lossless_frac,
    measure,
    read,
    renyi_efficiency,
)
from tests.tasks.vocab.inputs import small_rows
from tests.tasks.vocab.report.made import make_vocabulary, train_texts

CONFIG = VocabConfig(vocab_size=384)


@pytest.fixture(scope="module")
def byte_level() -> Tokenizer:
    return Tokenizer.from_str(make_vocabulary(train_texts(small_rows()), CONFIG).definition)


@cache
def little() -> Tokenizer:
    return Tokenizer.from_str(make_vocabulary(["le chat, the cat"] * 3, CONFIG).definition)


def marked_characters() -> Tokenizer:
    config = VocabConfig(vocab_size=384, symbols="characters")
    return Tokenizer.from_str(make_vocabulary(["low lower newest the the"] * 9, config).definition)


def by_word(*known: str) -> Tokenizer:
    vocab = {name: number for number, name in enumerate(["[UNK]", *known])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_words_by_rule_counted_by_hand() -> None:
    sample = Sample(["the cat, the dog", "a  cat"])
    measured = measure(read(by_word("the", "cat", ",", "cow"), sample))
    assert measured["bytes_per_token"] == pytest.approx(22 / 7)
    assert measured["fertility"] == pytest.approx(7 / 6)
    assert measured["pieces_per_word"] == pytest.approx(7 / 6)
    assert measured["words_kept_whole_frac"] == pytest.approx(3 / 6)  # `cat,` is two, two unknown
    assert measured["unknown_word_frac"] == pytest.approx(2 / 6)
    assert measured["unused_token_frac"] == pytest.approx(1 / 5)  # cow; [UNK] was used
    assert measured["num_usable_tokens"] == 5


def test_spans_and_words_are_those_of_str_split() -> None:
    sample = Sample(["a\u2003b\x1cc", "", " d\n"])
    found = [
        sample.joined[begin:end]
        for begin, end in zip(sample.words.begins, sample.words.ends, strict=True)
    ]
    assert found == [word for text in sample.texts for word in text.split()]
    assert sample.begins == [0, 6, 7]


def test_a_position_is_inside_only_strictly() -> None:
    spans = Spans(np.array([0, 5]), np.array([3, 9]))
    positions = np.array([0, 1, 3, 4, 5, 8, 9, 20])
    assert spans.holding(positions).tolist() == [-1, 0, -1, -1, -1, 1, -1, -1]


@settings(deadline=None)  # the first example loads the learner
@given(st.lists(st.text(), min_size=1, max_size=4))
def test_byte_level_tokens_account_for_every_character(texts: list[str]) -> None:
    tokenizer = little()
    sample = Sample(texts)
    reading = read(tokenizer, sample)
    assert len(reading.ids_T) == sum(len(tokenizer.encode(text).ids) for text in texts)
    assert reading.num_tokens_D.sum() == len(reading.ids_T)
    cut = reading.cut(sample.words)
    assert (cut.num_pieces >= 1).all()
    assert not cut.is_unknown.any()
    assert (cut.num_pieces[cut.is_whole] == 1).all()
    assert lossless_frac(tokenizer, reading) == 1


def test_cut_agrees_with_encoding_each_word_alone(byte_level: Tokenizer) -> None:
    """Words after a space are cut as they are alone with that space."""
    texts = [text for split, text in small_rows() if split == "validation"]
    sample = Sample([" " + text for text in texts])
    cut = read(byte_level, sample).cut(sample.words)
    alone = [byte_level.encode(f" {word}").tokens for text in texts for word in text.split()]
    expected = [sum(token != "Ġ" for token in tokens) for tokens in alone]
    assert cut.num_pieces.tolist() == expected
    whole = [n == 1 for n in expected]
    assert cut.is_whole.tolist() == whole


def test_a_character_in_two_tokens_is_not_whole_and_no_boundary(byte_level: Tokenizer) -> None:
    sample = Sample(["é", "aé b"])
    reading = read(byte_level, sample)
    cut = reading.cut(sample.words)
    assert cut.num_pieces.tolist() == [2, 3, 1]
    assert cut.is_whole.tolist() == [False, False, True]
    assert reading.boundaries.tolist() == [3, 4]  # a|é and é| b


def test_an_end_of_word_mark_counts_for_its_word() -> None:
    sample = Sample(["the lowest wow"])
    cut = read(marked_characters(), sample).cut(sample.words)
    assert cut.is_whole.tolist() == [True, False, False]
    assert cut.num_pieces[0] == 1


def test_an_end_of_word_mark_by_itself_stands_for_no_text() -> None:
    config = VocabConfig(vocab_size=300, symbols="characters")
    tokenizer = Tokenizer.from_str(make_vocabulary(["ab"], config).definition)  # merges nothing
    sample = Sample(["ab a"])
    reading = read(tokenizer, sample)
    assert len(reading.ids_T) == 5
    cut = reading.cut(sample.words)
    assert cut.num_pieces.tolist() == [2, 1]
    assert cut.is_whole.tolist() == [False, True]
    assert reading.boundaries.tolist() == [1]


def test_white_space_that_is_lost_is_found_by_decoding() -> None:
    tokenizer = marked_characters()
    sample = Sample(["the low", "the  low", "the low ", "the lox"])
    assert lossless_frac(tokenizer, read(tokenizer, sample)) == 0.25


def test_texts_are_read_the_same_in_one_batch_and_in_many(
    byte_level: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = Sample([text for _, text in small_rows()[:20]])
    once = read(byte_level, sample)
    monkeypatch.setattr(measures, "BATCH_CHARACTERS", 100)
    again = read(byte_level, sample)
    assert once.ids_T.tolist() == again.ids_T.tolist()
    assert once.begins_T.tolist() == again.begins_T.tolist()


def test_renyi_efficiency_is_one_for_equal_shares_and_follows_its_formula() -> None:
    even = read(by_word("a", "b", "c"), Sample(["a b c x"]))
    assert renyi_efficiency(even) == pytest.approx(1.0)
    uneven = read(by_word("a", "b", "c"), Sample(["a a a b"]))
    entropy = math.log(0.75**2.5 + 0.25**2.5) / (1 - 2.5)
    assert renyi_efficiency(uneven) == pytest.approx(entropy / math.log(4))
    single = read(by_word("a", "b", "c"), Sample(["a a"]))
    assert renyi_efficiency(single) == 0


def test_padding_and_special_tokens_are_not_usable(byte_level: Tokenizer) -> None:
    padded = make_vocabulary(["ab ab ab"], VocabConfig(vocab_size=384, pad_to_multiple=64))
    reading = read(Tokenizer.from_str(padded.definition), Sample(["ab"]))
    assert reading.vocab_size == 320
    assert len(reading.usable) == 256 + 2
    assert reading.usable.min() == 5
    assert reading.unknown_id is None
    assert read(byte_level, Sample(["x"])).unknown_id is None


@pytest.mark.parametrize("algorithm", ["unigram", "wordpiece", "words"])
def test_the_librarys_vocabularies_know_their_unknown_token(algorithm: str) -> None:
    config = VocabConfig(vocab_size=384, algorithm=algorithm)
    vocabulary = make_vocabulary(train_texts(small_rows()), config)
    sample = Sample(["ship 字 ship"])
    reading = read(Tokenizer.from_str(vocabulary.definition), sample)
    assert reading.unknown_id == 1
    assert reading.cut(sample.words).is_unknown.tolist() == [False, True, False]
    assert measure(reading)["unknown_word_frac"] == pytest.approx(1 / 3)
