"""Self-labelled tasks about sentences: how long one is, and which of two comes first.

A sentence is what lies between two tokens that end one, see `tasks.probe.vocabulary`.
Letters: E examples, N sentences of a document, L its tokens, V ids of the vocabulary.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tasks.probe.examples import (
    Candidate,
    Draw,
    Examples,
    IntArray,
    candidates_each,
    choose_balanced,
    draw_documents,
)
from tasks.probe.sample import Tokens
from tasks.probe.vocabulary import Flags, Vocabulary

MIN_SENTENCE_TOKENS = 4  # the ends not counted; shorter ones are headings, numbers, abbreviations
MAX_SENTENCE_TOKENS = 60
NUM_LENGTH_BINS = 4
_MAX_DOCUMENTS_COUNTED = 2000


def plan_sentence_length(train: Sequence[Tokens], vocabulary: Vocabulary) -> Draw:
    """The task of telling in which quarter of all lengths a sentence's length is.

    The quarters are those of train's sentences. A sentence is given without the tokens that end
    it, whose share in the mean would tell the length. Source: SentLen of Conneau et al. 2018,
    section 2.1, with tokens for words and four bins of equal share for six.
    """
    ends_V = vocabulary.ends_sentence_V
    return partial(draw_sentence_length, ends_V=ends_V, bounds=length_bounds(train, ends_V))


def length_bounds(train: Sequence[Tokens], ends_V: Flags) -> tuple[int, ...]:
    """Lengths at which the second and every further bin begins, from a part of the documents."""
    counted = train[:: max(1, len(train) // _MAX_DOCUMENTS_COUNTED)]
    lengths = [np.diff(_sentences(document, ends_V)).flatten() for document in counted]
    return _bounds(np.concatenate([np.empty(0, np.int64), *lengths]))


def plan_sentence_order(train: Sequence[Tokens], vocabulary: Vocabulary) -> Draw:
    """The task of telling two consecutive sentences in their order from the same exchanged."""
    return partial(draw_sentence_order, ends_V=vocabulary.ends_sentence_V)


def draw_sentence_length(
    documents: Sequence[Tokens],
    num_examples: int,
    window_tokens: int,
    generator: np.random.Generator,
    *,
    ends_V: Flags,
    bounds: Sequence[int],
) -> Examples:
    """Sentences, labelled by the bin of their length, as many of each bin.

    Args:
        window_tokens: of no concern; a sentence is as long as it is.
        ends_V: which ids end a sentence.
        bounds: lengths at which the second and every further bin begins.
    """
    candidates: list[Candidate] = []
    most = candidates_each(documents, num_examples)
    for document in draw_documents(documents, num_examples, generator):
        spans_N2 = generator.permutation(_sentences(documents[document], ends_V))[:most]
        labels_N = np.searchsorted(bounds, np.diff(spans_N2).flatten(), side="right")
        turns = [0] * (len(bounds) + 1)
        for (start, end), label in zip(spans_N2.tolist(), labels_N.tolist(), strict=True):
            candidates.append(Candidate(turns[label], int(document), start, end, label))
            turns[label] += 1
    num_classes = len(bounds) + 1 if len(bounds) else 0
    return choose_balanced(documents, candidates, num_examples, num_classes)


def draw_sentence_order(
    documents: Sequence[Tokens],
    num_examples: int,
    window_tokens: int,
    generator: np.random.Generator,
    *,
    ends_V: Flags,
) -> Examples:
    """Two consecutive sentences as one sequence, in every second example exchanged.

    Label 1: in their order. Either way the sequence begins and ends with a whole sentence and
    holds the same tokens. A document's first sentence, often a title, is left out. No sentence is
    used twice. Source: ALBERT's task (Lan et al. 2020, section 3.1) as a probe.

    Args:
        window_tokens: of no concern; a sentence is as long as it is.
        ends_V: which ids end a sentence.
    """
    found: list[tuple[int, int, list[int]]] = []
    most = candidates_each(documents, num_examples)
    for document in draw_documents(documents, num_examples, generator):
        pairs = generator.permutation(_neighbours(documents[document], ends_V))[:most]
        found += [(turn, int(document), bounds) for turn, bounds in enumerate(pairs.tolist())]
    chosen = sorted(sorted(found, key=lambda item: item[0])[:num_examples], key=lambda one: one[1])
    chosen = chosen[: len(chosen) // 2 * 2]
    labels_E = np.arange(len(chosen)) % 2
    windows = [
        _in_order(documents[document], bounds, is_kept=bool(label))
        for (_, document, bounds), label in zip(chosen, labels_E, strict=True)
    ]
    return Examples((windows,), labels_E, np.array([one[1] for one in chosen], np.int64))


def _sentences(document: Tokens, ends_V: Flags) -> IntArray:
    """Spans [N, 2] of the sentences of ordinary length, without the tokens that end them."""
    spans_N3 = _all_sentences(document, ends_V)
    return spans_N3[_is_ordinary(spans_N3), :2]


def _all_sentences(document: Tokens, ends_V: Flags) -> IntArray:
    """Of all sentences the start, the first of the tokens that end it, and what follows: [N, 3].

    Several ends in a row, such as a full stop and a line break, are of one sentence.
    """
    is_end_L = ends_V[document]
    goes_on_L = np.concatenate([is_end_L[1:], [False]])[: len(is_end_L)]
    went_on_L = np.concatenate([[False], is_end_L[:-1]])[: len(is_end_L)]
    first_N = np.flatnonzero(is_end_L & ~went_on_L)
    after_N = np.flatnonzero(is_end_L & ~goes_on_L) + 1
    start_N = np.concatenate([[0], after_N[:-1]]).astype(np.int64)[: len(after_N)]
    spans_N3 = np.stack([start_N, first_N, after_N], axis=1)
    return spans_N3[first_N > start_N]  # a document may begin with line breaks


def _is_ordinary(spans_N3: IntArray) -> NDArray[np.bool_]:
    lengths_N = spans_N3[:, 1] - spans_N3[:, 0]
    return (lengths_N >= MIN_SENTENCE_TOKENS) & (lengths_N <= MAX_SENTENCE_TOKENS)


def _neighbours(document: Tokens, ends_V: Flags) -> IntArray:
    """Start, joint and end of pairs of ordinary sentences that follow each other: [N, 3]."""
    spans_N3 = _all_sentences(document, ends_V)[1:]
    ordinary_N = _is_ordinary(spans_N3)
    pairs, place = [], 0
    while place + 1 < len(spans_N3):
        if ordinary_N[place] and ordinary_N[place + 1]:
            start, _, joint = spans_N3[place]
            pairs.append([start, joint, spans_N3[place + 1, 2]])
            place += 1
        place += 1
    return np.array(pairs, np.int64).reshape(-1, 3)


def _in_order(document: Tokens, bounds: Sequence[int], *, is_kept: bool) -> Tokens:
    start, joint, end = bounds
    if is_kept:
        return document[start:end]
    return np.concatenate([document[joint:end], document[start:joint]])


def _bounds(lengths_N: IntArray) -> tuple[int, ...]:
    """Where the second and every further bin begins; none where all are of one length."""
    if not len(lengths_N):
        return ()
    shares = np.arange(1, NUM_LENGTH_BINS) / NUM_LENGTH_BINS
    quantiles = np.quantile(lengths_N, shares, method="higher")
    return tuple(int(one) for one in np.unique(quantiles) if one > lengths_N.min())
