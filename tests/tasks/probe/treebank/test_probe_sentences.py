"""Tasks about sentences and words in windows: true to their labels, balanced, no text twice."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from model.bpe.tokenizer import tokenizer_json
from tasks.probe.examples import Examples
from tasks.probe.sample import Tokens
from tasks.probe.sentence_examples import (
    MAX_SENTENCE_TOKENS,
    MIN_SENTENCE_TOKENS,
    length_bounds,
    plan_sentence_length,
    plan_sentence_order,
)
from tasks.probe.vocabulary import Vocabulary, read_vocabulary
from tasks.probe.word_content import MAX_WORDS, middle_words, plan_word_content

SIZE = 20_000
END = 0
WINDOW = 6


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ends(*ids: int) -> Vocabulary:
    is_end = np.isin(np.arange(SIZE), ids)
    return Vocabulary(ends_sentence_V=is_end, is_word_V=~is_end)


def texts(lengths: Sequence[Sequence[int]]) -> list[Tokens]:
    """Documents of sentences so long, each of tokens of its own, all rising, with their end."""
    documents, token = [], 1
    for own in lengths:
        parts = []
        for length in own:
            parts.append(np.append(np.arange(token, token + length), END))
            token += length
        documents.append(np.concatenate([np.empty(0, np.int64), *parts]))
    return documents


lengths_of_texts = st.lists(st.lists(st.integers(1, 70), max_size=12), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(lengths=lengths_of_texts, wanted=st.integers(2, 60), seed=st.integers(0, 9))
def test_sentence_length_gives_whole_sentences_in_their_bin(
    lengths: list[list[int]], wanted: int, seed: int
) -> None:
    documents = texts(lengths)
    draw = plan_sentence_length(documents, ends(END))
    drawn = draw(documents, wanted, WINDOW, generator(seed))
    _check_balance(drawn, wanted)
    bounds = length_bounds(documents, ends(END).ends_sentence_V)
    for window, label, document in zip(
        drawn.parts[0], drawn.labels_E, drawn.document_E, strict=True
    ):
        assert MIN_SENTENCE_TOKENS <= len(window) <= MAX_SENTENCE_TOKENS
        assert END not in window
        assert len(window) in lengths[document]
        assert label == sum(len(window) >= bound for bound in bounds)


def _check_balance(drawn: Examples, wanted: int) -> None:
    assert len(drawn.labels_E) == len(drawn.parts[0]) == len(drawn.document_E) <= wanted
    counts = Counter(drawn.labels_E.tolist())
    assert len(set(counts.values())) <= 1
    assert len(counts) in (0, drawn.num_classes)
    assert len({window.tobytes() for window in drawn.parts[0]}) == len(drawn.parts[0])


def test_bins_have_equal_shares_of_train_and_all_splits_share_them() -> None:
    train = texts([range(4, 24)] * 20)
    draw = plan_sentence_length(train, ends(END))
    drawn = draw(train, 400, WINDOW, generator())
    assert drawn.num_classes == 4
    assert len(drawn.labels_E) == 400
    longest = [
        max(len(w) for w, label in zip(drawn.parts[0], drawn.labels_E, strict=True) if label == k)
        for k in range(4)
    ]
    assert longest == [8, 13, 18, 23]
    long_ones = draw(texts([[20, 21, 22]] * 9), 100, WINDOW, generator())
    assert len(long_ones.labels_E) == 0  # the other bins are empty here
    assert long_ones.num_classes == 4


def test_sentences_of_one_length_tell_nothing() -> None:
    train = texts([[7] * 9] * 9)
    drawn = plan_sentence_length(train, ends(END))(train, 40, WINDOW, generator())
    assert len(drawn.labels_E) == 0


@settings(max_examples=50, deadline=None)
@given(lengths=lengths_of_texts, wanted=st.integers(2, 60), seed=st.integers(0, 9))
def test_sentence_order_exchanges_two_consecutive_sentences(
    lengths: list[list[int]], wanted: int, seed: int
) -> None:
    documents = texts(lengths)
    drawn = plan_sentence_order(documents, ends(END))(documents, wanted, WINDOW, generator(seed))
    _check_balance(drawn, wanted)
    for window, label, document in zip(
        drawn.parts[0], drawn.labels_E, drawn.document_E, strict=True
    ):
        first, second = np.split(window, np.flatnonzero(window == END)[:1] + 1)
        assert first[-1] == second[-1] == END
        earlier, later = (first, second) if label else (second, first)
        assert later[0] == earlier[-2] + 1  # each token is the next number
        assert earlier[0] > documents[document][0]  # not the first sentence
        assert {len(first) - 1, len(second) - 1} <= set(lengths[document])


def test_ends_in_a_row_are_of_one_sentence() -> None:
    document = np.array([END, 9, 8, END, END, 1, 2, 3, 4, END, 5, 6, 7, 8, END, END, 9])
    drawn = plan_sentence_order([document], ends(END))([document] * 2, 2, WINDOW, generator())
    windows = {tuple(window.tolist()) for window in drawn.parts[0]}
    assert windows == {
        (1, 2, 3, 4, END, 5, 6, 7, 8, END, END),
        (5, 6, 7, 8, END, END, 1, 2, 3, 4, END),
    }


def test_words_of_middle_frequency_leave_out_those_that_are_half_the_text() -> None:
    often = np.repeat([1, 2], 50)
    middle = np.repeat(np.arange(10, 30), 3)
    train = [np.concatenate([often, middle, [40, 41]]), np.concatenate([often, middle[:30]])]
    vocabulary = ends(END)
    assert middle_words(train, vocabulary.is_word_V).tolist() == list(range(10, 20))
    vocabulary.is_word_V[10:15] = False
    assert middle_words(train, vocabulary.is_word_V).tolist() == list(range(15, 25))
    assert len(middle_words([np.array([1, 1])], vocabulary.is_word_V)) == 0


@settings(max_examples=40, deadline=None)
@given(
    documents=st.lists(st.lists(st.integers(0, 30), max_size=60), min_size=1, max_size=20),
    wanted=st.integers(2, 60),
)
def test_a_window_holds_the_word_of_its_label_and_no_other(
    documents: list[list[int]], wanted: int
) -> None:
    tokens = [np.array(document, np.uint16) for document in documents]
    vocabulary = ends(END)
    words = middle_words(tokens, vocabulary.is_word_V).tolist()
    drawn = plan_word_content(tokens, vocabulary)(tokens, wanted, WINDOW, generator())
    assert len(words) <= MAX_WORDS
    assert drawn.num_classes == len(words)
    assert len(drawn.labels_E) <= wanted
    assert len(set(Counter(drawn.labels_E.tolist()).values())) <= 1
    for window, label, document in zip(
        drawn.parts[0], drawn.labels_E, drawn.document_E, strict=True
    ):
        assert set(window.tolist()) & set(words) == {words[label]}
        cut = tokens[document][: len(tokens[document]) // WINDOW * WINDOW].reshape(-1, WINDOW)
        assert window.tolist() in cut.tolist()


def test_the_same_seed_draws_the_same() -> None:
    train = [np.random.default_rng(at).permutation(np.arange(200) % 20) for at in range(30)]
    for plan in (plan_sentence_length, plan_sentence_order, plan_word_content):
        draw = plan(train, ends(END))
        one, again, other = (draw(train, 40, WINDOW, generator(seed)) for seed in (3, 3, 4))
        assert [w.tolist() for w in one.parts[0]] == [w.tolist() for w in again.parts[0]]
        assert [w.tolist() for w in one.parts[0]] != [w.tolist() for w in other.parts[0]]


def vocabulary_of(tokens: Sequence[str], decoder: object = None) -> dict[str, tuple[bool, bool]]:
    """Whether each token ends a sentence, and whether it is a word."""
    ids = {name: number for number, name in enumerate(["[UNK]", *tokens])}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    if decoder is not None:
        tokenizer.decoder = decoder
    found = read_vocabulary(tokenizer, len(ids) + 3)
    assert len(found.is_word_V) == len(ids) + 3
    assert not found.is_word_V[len(ids) :].any()
    return {
        name: (bool(found.ends_sentence_V[number]), bool(found.is_word_V[number]))
        for name, number in ids.items()
    }


def test_what_ends_a_sentence_and_what_is_a_word() -> None:
    found = vocabulary_of(
        ["dog", "##s", "##!", ".", "?", "。", 'a."', "...)", ",", "x1"], decoders.WordPiece()
    )
    assert {name for name, (is_end, _) in found.items() if is_end} == {
        *("##!", ".", "?", "。", 'a."', "...)"),
    }
    assert {name for name, (_, is_word) in found.items() if is_word} == {"dog"}


def test_bytes_say_so_too() -> None:
    tokenizer = Tokenizer.from_str(tokenizer_json([], pattern="gpt2", pad_to_multiple=1))
    found = read_vocabulary(tokenizer, 261)
    ids = [tokenizer.token_to_id(name) for name in (".", "!", "?", "Ċ", "č")]
    assert np.flatnonzero(found.ends_sentence_V).tolist() == sorted(ids)
    is_letter = [str(tokenizer.id_to_token(number)).isalpha() for number in range(261)]
    assert found.is_word_V.sum() == 52  # no blanks anywhere: all letters are words
    assert np.array(is_letter)[found.is_word_V].all()


@pytest.mark.parametrize("plan", [plan_sentence_length, plan_sentence_order, plan_word_content])
def test_no_text_gives_no_examples(plan: object) -> None:
    nothing = [np.empty(0, np.uint16)] * 3
    assert callable(plan)
    drawn = plan(nothing, ends(END))(nothing, 20, WINDOW, generator())
    assert len(drawn.labels_E) == 0
