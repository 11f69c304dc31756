"""The curve over vocabulary sizes is that of vocabularies learned at each size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from model.bpe.tokenizer import END_OF_WORD
from tasks.vocab.config import VocabConfig
from tasks.vocab.report.curve import MAX_SIZES, Curve, choose_sizes, counted_bytes, measure_curve
from tasks.vocab.report.measures import Sample, measure, read
from tests.tasks.vocab.inputs import small_rows
from tests.tasks.vocab.report.made import make_vocabulary, train_texts

TRAIN = train_texts(small_rows())
SAMPLE = Sample([text for split, text in small_rows() if split == "validation"])


def curve_of(config: VocabConfig) -> Curve:
    vocabulary = make_vocabulary(TRAIN, config)
    assert vocabulary.words is not None
    assert vocabulary.learned is not None
    full = measure(read(Tokenizer.from_str(vocabulary.definition), SAMPLE))
    return measure_curve(vocabulary.words, vocabulary.learned, SAMPLE, config.pattern, full)


@pytest.mark.parametrize("symbols", ["bytes", "characters"])
def test_each_size_is_what_learning_to_that_size_gives(symbols: str) -> None:
    config = VocabConfig(vocab_size=600, symbols=symbols, pad_to_multiple=1)
    curve = curve_of(config)
    assert len(curve.by_size) >= 3
    for size, measured in curve.by_size.items():
        if size >= 261:
            alone = curve_of(config.model_copy(update={"vocab_size": size}))
            assert alone.by_size[size] == pytest.approx(measured)
            assert alone.train_bytes_per_token(size) == curve.train_bytes_per_token(size)


def test_training_text_is_measured_exactly() -> None:
    config = VocabConfig(vocab_size=500, pad_to_multiple=1)
    curve = curve_of(config)
    measured = measure(
        read(Tokenizer.from_str(make_vocabulary(TRAIN, config).definition), Sample(TRAIN))
    )
    assert curve.train_bytes_per_token(500) == pytest.approx(measured["bytes_per_token"])
    assert curve.train_bytes_per_token(curve.smallest) == 1


def test_rows_hold_every_measured_size_and_a_grid_of_training_ones() -> None:
    curve = curve_of(VocabConfig(vocab_size=700))
    rows = curve.rows()
    sizes = {
        split: {r.vocab_size for r in rows if r.split == split} for split in ("train", "validation")
    }
    assert sizes["validation"] == set(curve.by_size)
    assert sizes["train"] >= sizes["validation"]
    train = [row.value for row in rows if row.split == "train"]
    assert train == sorted(train)
    assert {row.measure for row in rows if row.split == "train"} == {"bytes_per_token"}


def test_characters_count_one_byte_for_the_space_after_each_word() -> None:
    vocabulary = make_vocabulary(
        ["the cat sat", "字 the"] * 3, VocabConfig(vocab_size=384, symbols="characters")
    )
    assert vocabulary.words is not None
    assert vocabulary.learned is not None
    assert END_OF_WORD.encode() in vocabulary.words.text_N.tobytes()
    expected = 3 * len("the cat sat 字 the ".encode())
    assert counted_bytes(vocabulary.words, vocabulary.learned) == expected


@given(st.integers(6, 3000), st.integers(0, 10**6))
def test_sizes_are_few_ascending_and_end_with_the_whole(smallest: int, num_merges: int) -> None:
    full = smallest + num_merges
    sizes = choose_sizes(smallest, full)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == full
    assert sizes[0] >= smallest
    assert len(sizes) <= MAX_SIZES
    assert num_merges == 0 or len(sizes) >= 2
