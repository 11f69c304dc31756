"""Self-labelled examples: windows of text whose labels come from the text itself, from a seed.

`bigram_shift`: were two neighbouring tokens of this window exchanged? The bag of tokens stays the
same, so the mean of layer 0 cannot tell. `same_document`: are these two windows of one document?

Letters: E examples, P windows of an example.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.probe.sample import Tokens

IntArray = NDArray[np.int64]
DOCUMENTS_PER_EXAMPLE = 4  # documents looked into, at most, for each example wanted
_CANDIDATES_PER_EXAMPLE = 4
_MIN_CANDIDATES = 16


@dataclass(frozen=True)
class Examples:
    """Windows with labels.

    Attributes:
        parts: P lists with one window for each example.
        labels_E: int64 in [0, num_classes), as many of each.
        document_E: int64, the document of the first window.
        num_classes: kinds of labels; 0 where the text has none to tell apart.
    """

    parts: tuple[list[Tokens], ...]
    labels_E: IntArray
    document_E: IntArray
    num_classes: int = 2

    @property
    def num_documents(self) -> int:
        """How many documents the examples come from."""
        return len(np.unique(self.document_E))

    @property
    def chance(self) -> float:
        """The share that guessing gets right."""
        return 1 / self.num_classes


Draw = Callable[[Sequence[Tokens], int, int, np.random.Generator], Examples]
"""Draws from a split's documents: how many examples, of windows how long, from which generator."""


class Candidate(NamedTuple):
    """A window that could be an example.

    Attributes:
        turn: how many of its document and label come before it.
        document: where it is from.
        start, end: its tokens there.
        label: its class.
    """

    turn: int
    document: int
    start: int
    end: int
    label: int


def draw_bigram_shift(
    documents: Sequence[Tokens],
    num_examples: int,
    window_tokens: int,
    generator: np.random.Generator,
) -> Examples:
    """Windows, every second one with two unequal neighbouring tokens exchanged.

    No window is used twice. Fewer examples come back where the documents hold fewer windows.
    Source: the task of Conneau et al. 2018, section 2.2, with tokens for words.
    """
    document_E, starts_EP = _draw_windows(documents, num_examples, 1, window_tokens, generator)
    windows = _cut(documents, document_E, starts_EP[:, 0], window_tokens)
    can_shift_E = np.array([np.ptp(window) > 0 for window in windows], dtype=bool)
    chosen = np.flatnonzero(can_shift_E)
    chosen = chosen[: len(chosen) // 2 * 2]
    labels_E = np.arange(len(chosen)) % 2
    shifted = [
        _exchange(windows[index], generator) if label else windows[index]
        for index, label in zip(chosen, labels_E, strict=True)
    ]
    return Examples((shifted,), labels_E, document_E[chosen])


def draw_same_document(
    documents: Sequence[Tokens],
    num_examples: int,
    window_tokens: int,
    generator: np.random.Generator,
) -> Examples:
    """Pairs of windows that do not overlap, every second pair from one document.

    Pairs from two documents arise by passing the second windows on among them, so the windows
    of both labels come from the same documents. No window is used twice.
    """
    document_E, starts_EP = _draw_windows(documents, num_examples, 2, window_tokens, generator)
    labels_E = np.arange(len(document_E)) % 2
    partner_E = _pass_on(document_E, labels_E == 0)
    usable_E = (labels_E == 1) | (document_E[partner_E] != document_E)
    chosen = np.flatnonzero(usable_E)
    chosen = chosen[balanced(labels_E[usable_E], 2)]
    partner = partner_E[chosen]
    first = _cut(documents, document_E[chosen], starts_EP[chosen, 0], window_tokens)
    second = _cut(documents, document_E[partner], starts_EP[partner, 1], window_tokens)
    return Examples((first, second), labels_E[chosen], document_E[chosen])


def draw_documents(
    documents: Sequence[Tokens], num_examples: int, generator: np.random.Generator
) -> IntArray:
    """Which documents are looked into, in random order."""
    num_looked_into = min(len(documents), DOCUMENTS_PER_EXAMPLE * num_examples)
    return generator.choice(len(documents), num_looked_into, replace=False)


def candidates_each(documents: Sequence[Tokens], num_examples: int) -> int:
    """How many candidates of a document are enough: all documents together have several times
    what is wanted."""
    return max(_MIN_CANDIDATES, _CANDIDATES_PER_EXAMPLE * num_examples // max(1, len(documents)))


def choose_balanced(
    documents: Sequence[Tokens],
    candidates: Iterable[Candidate],
    num_examples: int,
    num_classes: int,
) -> Examples:
    """As many candidates of each label, sorted by document, at most `num_examples` in all.

    Of each label every document gives one before any gives a second.
    """
    in_turn = sorted(candidates, key=lambda one: one.turn)
    labels = np.array([one.label for one in in_turn], np.int64)
    most_each = num_examples // num_classes if num_classes else 0
    places = balanced(labels, num_classes, most_each=most_each)
    chosen = sorted((in_turn[place] for place in places), key=lambda one: one.document)
    return Examples(
        ([documents[one.document][one.start : one.end] for one in chosen],),
        np.array([one.label for one in chosen], np.int64),
        np.array([one.document for one in chosen], np.int64),
        num_classes,
    )


def balanced(labels_E: IntArray, num_classes: int, *, most_each: int | None = None) -> IntArray:
    """Indexes of the first examples of each label, as many of all, in order."""
    of_label = [np.flatnonzero(labels_E == label) for label in range(num_classes)]
    num_each = min((len(found) for found in of_label), default=0)
    if most_each is not None:
        num_each = min(num_each, most_each)
    return np.sort(np.concatenate([np.empty(0, np.int64), *(one[:num_each] for one in of_label)]))


def _draw_windows(
    documents: Sequence[Tokens],
    num_examples: int,
    num_parts: int,
    window_tokens: int,
    generator: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Documents and window starts of the examples, sorted by document.

    Windows are cut end to end, so they never overlap. Every document gives one example before
    any gives a second.
    """
    found: list[tuple[int, int, IntArray]] = []
    for document in draw_documents(documents, num_examples, generator):
        num_windows = len(documents[document]) // window_tokens
        num_kept = min(num_windows // num_parts, num_examples) * num_parts
        starts = window_tokens * generator.choice(num_windows, num_kept, replace=False)
        found += [
            (turn, int(document), part) for turn, part in enumerate(starts.reshape(-1, num_parts))
        ]
    first_turns = sorted(found, key=lambda item: item[0])[:num_examples]
    chosen = sorted(first_turns, key=lambda item: item[1])
    document_E = np.array([document for _, document, _ in chosen], np.int64)
    return document_E, np.array([part for *_, part in chosen], np.int64).reshape(-1, num_parts)


def _cut(
    documents: Sequence[Tokens], document_E: IntArray, start_E: IntArray, window_tokens: int
) -> list[Tokens]:
    return [
        documents[document][start : start + window_tokens]
        for document, start in zip(document_E, start_E, strict=True)
    ]


def _exchange(window: Tokens, generator: np.random.Generator) -> Tokens:
    """A copy with one pair of unequal neighbours exchanged."""
    place = generator.choice(np.flatnonzero(window[1:] != window[:-1]))
    shifted = window.copy()
    shifted[place], shifted[place + 1] = window[place + 1], window[place]
    return shifted


def _pass_on(document_E: IntArray, passes_E: NDArray[np.bool_]) -> IntArray:
    """For each example the one whose second window it gets: itself, or a later one's.

    Sorted by document, a turn by the longest run of one document brings no window home, unless
    that document holds more than half of them.
    """
    partner_E = np.arange(len(document_E))
    passing = partner_E[passes_E]
    if len(passing):
        longest = np.unique(document_E[passing], return_counts=True)[1].max()
        partner_E[passing] = np.roll(passing, -longest)
    return partner_E
