"""Self-labelled examples: balanced, disjoint, true to their labels."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.probe.examples import Draw, Examples, draw_bigram_shift, draw_same_document
from tasks.probe.sample import Tokens

WINDOW = 6
WINDOW_TASKS: dict[str, Draw] = {
    "bigram_shift": draw_bigram_shift,
    "same_document": draw_same_document,
}


def numbered_documents(lengths: list[int]) -> list[Tokens]:
    """Every token of the corpus is another number, so a window tells where it is from."""
    ends = np.cumsum([0, *lengths])
    everything = np.arange(ends[-1], dtype=np.int32)
    return [everything[start:end] for start, end in itertools.pairwise(ends)]


def owner(window: Tokens, lengths: list[int]) -> int:
    owners = set(np.searchsorted(np.cumsum(lengths), window, side="right").tolist())
    assert len(owners) == 1
    return int(owners.pop())


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


lengths_of_documents = st.lists(st.integers(0, 50), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(lengths=lengths_of_documents, wanted=st.integers(2, 60), seed=st.integers(0, 99))
def test_bigram_shift_exchanges_two_neighbours_and_nothing_else(
    lengths: list[int], wanted: int, seed: int
) -> None:
    drawn = draw_bigram_shift(numbered_documents(lengths), wanted, WINDOW, generator(seed))
    assert len(drawn.labels_E) <= wanted
    assert Counter(drawn.labels_E.tolist())[0] * 2 == len(drawn.labels_E)
    for window, label, document in zip(
        drawn.parts[0], drawn.labels_E, drawn.document_E, strict=True
    ):
        rises = np.arange(window.min(), window.min() + WINDOW)
        moved = np.flatnonzero(window != rises)
        assert owner(window, lengths) == document
        assert np.array_equal(np.sort(window), rises)
        assert moved.tolist() == ([moved[0], moved[0] + 1] if label else [])
    seen = np.concatenate([np.empty(0), *drawn.parts[0]])
    assert len(np.unique(seen)) == len(seen)


@settings(max_examples=60, deadline=None)
@given(lengths=lengths_of_documents, wanted=st.integers(2, 60), seed=st.integers(0, 99))
def test_pairs_are_of_one_document_exactly_when_labelled_so(
    lengths: list[int], wanted: int, seed: int
) -> None:
    drawn = draw_same_document(numbered_documents(lengths), wanted, WINDOW, generator(seed))
    assert len(drawn.labels_E) <= wanted
    assert Counter(drawn.labels_E.tolist())[0] * 2 == len(drawn.labels_E)
    for first, second, label in zip(*drawn.parts, drawn.labels_E, strict=True):
        assert len(first) == len(second) == WINDOW
        assert (owner(first, lengths) == owner(second, lengths)) == bool(label)
    seen = np.concatenate([np.empty(0), *drawn.parts[0], *drawn.parts[1]])
    assert len(np.unique(seen)) == len(seen)


@pytest.mark.parametrize("task", WINDOW_TASKS)
def test_enough_text_gives_every_example_from_many_documents(task: str) -> None:
    lengths = [40] * 60
    drawn = WINDOW_TASKS[task](numbered_documents(lengths), 100, WINDOW, generator())
    assert len(drawn.labels_E) >= 98
    assert drawn.num_documents == 60  # every document gives one before any gives a second
    positives = Counter(drawn.document_E[drawn.labels_E == 1].tolist())
    assert max(positives.values()) <= 2


@pytest.mark.parametrize("task", WINDOW_TASKS)
def test_same_seed_same_examples_other_seed_others(task: str) -> None:
    documents = numbered_documents([40] * 30)

    def first_windows(drawn: Examples) -> bytes:
        return np.stack(drawn.parts[0]).tobytes()

    draws = [WINDOW_TASKS[task](documents, 40, WINDOW, generator(seed)) for seed in (5, 5, 6)]
    assert first_windows(draws[0]) == first_windows(draws[1])
    assert first_windows(draws[0]) != first_windows(draws[2])


def test_windows_of_one_repeated_token_cannot_be_shifted() -> None:
    documents = [np.full(30, 7, np.uint16), *numbered_documents([30] * 4)]
    drawn = draw_bigram_shift(documents, 20, WINDOW, generator())
    assert len(drawn.labels_E) >= 14
    assert 0 not in drawn.document_E


def test_drawing_leaves_the_corpus_as_it_was() -> None:
    documents = numbered_documents([40] * 10)
    before = [document.copy() for document in documents]
    for document in documents:
        document.flags.writeable = False
    draw_bigram_shift(documents, 20, WINDOW, generator())
    for document, old in zip(documents, before, strict=True):
        assert np.array_equal(document, old)
