"""Self-labelled tasks: examples whose labels come from the text itself, balanced, from a seed.

`bigram_shift`: were two neighbouring tokens of this window exchanged? The bag of tokens stays the
same, so the mean of layer 0 cannot tell. `same_document`: are these two windows of one document?

Letters: E examples, P windows of an example.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.probe.sample import Tokens

IntArray = NDArray[np.int64]
DOCUMENTS_PER_EXAMPLE = 4  # documents looked into, at most, for each example wanted


@dataclass(frozen=True)
class Examples:
    """Windows with labels.

    Attributes:
        parts: P lists with one window for each example.
        labels_E: int64, 0 or 1, as many of each.
        document_E: int64, the document of the first window.
    """

    parts: tuple[list[Tokens], ...]
    labels_E: IntArray
    document_E: IntArray

    @property
    def num_documents(self) -> int:
        """How many documents the examples come from."""
        return len(np.unique(self.document_E))


Draw = Callable[[Sequence[Tokens], int, int, np.random.Generator], Examples]


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
    chosen = _balanced(labels_E, (labels_E == 1) | (document_E[partner_E] != document_E))
    partner = partner_E[chosen]
    first = _cut(documents, document_E[chosen], starts_EP[chosen, 0], window_tokens)
    second = _cut(documents, document_E[partner], starts_EP[partner, 1], window_tokens)
    return Examples((first, second), labels_E[chosen], document_E[chosen])


TASKS: dict[str, Draw] = {
    "bigram_shift": draw_bigram_shift,
    "same_document": draw_same_document,
}


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
    num_looked_into = min(len(documents), DOCUMENTS_PER_EXAMPLE * num_examples)
    drawn = generator.choice(len(documents), num_looked_into, replace=False)
    found: list[tuple[int, int, IntArray]] = []
    for document in drawn:
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


def _balanced(labels_E: IntArray, usable_E: NDArray[np.bool_]) -> IntArray:
    """Indexes of the usable examples, the first ones of each label, as many of both."""
    of_label = [np.flatnonzero(usable_E & (labels_E == label)) for label in (0, 1)]
    num_each = min(len(found) for found in of_label)
    return np.sort(np.concatenate([found[:num_each] for found in of_label]))
