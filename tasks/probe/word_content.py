"""The self-labelled task of word content: which of a few words is in this window?

Letters: V ids of the vocabulary, M words to tell apart, N windows of a document, L their tokens.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from tasks.probe.examples import (
    Candidate,
    Draw,
    Examples,
    IntArray,
    choose_balanced,
    draw_documents,
)
from tasks.probe.sample import Tokens
from tasks.probe.vocabulary import Flags, Vocabulary

MAX_WORDS = 10
_RANKS_PER_WORD = 10  # words of middle frequency looked at for each one chosen
_MAX_DOCUMENTS_COUNTED = 2000
_NONE = -1


def plan_word_content(train: Sequence[Tokens], vocabulary: Vocabulary) -> Draw:
    """The task of telling which one of ten words a window holds.

    The words are tokens of middle frequency: the most frequent ones less those that make up half
    of all occurrences, and of these the ones in most documents, so that no document's own name
    is among them. Counted on train. Source: WC of Conneau et al. 2018, section 2.1, with ten
    words for a thousand.
    """
    words_M = middle_words(train, vocabulary.is_word_V)
    class_V = np.full(len(vocabulary.is_word_V), _NONE, np.int64)
    class_V[words_M] = np.arange(len(words_M))
    return partial(draw_word_content, class_V=class_V)


def middle_words(train: Sequence[Tokens], is_word_V: Flags) -> IntArray:
    """The ids of the words, ascending; fewer than ten where the text has fewer, none where one."""
    size = len(is_word_V)
    num_tokens_V, num_documents_V = np.zeros((2, size), np.int64)
    for document in train[:: max(1, len(train) // _MAX_DOCUMENTS_COUNTED)]:
        count_V = np.bincount(document, minlength=size)
        num_tokens_V += count_V
        num_documents_V += count_V > 0
    num_tokens_V[~is_word_V] = 0
    by_rank = np.argsort(-num_tokens_V, kind="stable")[: np.count_nonzero(num_tokens_V)]
    before = np.cumsum(num_tokens_V[by_rank]) - num_tokens_V[by_rank]
    middle = by_rank[2 * before >= num_tokens_V.sum()][: _RANKS_PER_WORD * MAX_WORDS]
    spread = middle[np.argsort(-num_documents_V[middle], kind="stable")][:MAX_WORDS]
    return np.sort(spread) if len(spread) > 1 else spread[:0]


def draw_word_content(
    documents: Sequence[Tokens],
    num_examples: int,
    window_tokens: int,
    generator: np.random.Generator,
    *,
    class_V: IntArray,
) -> Examples:
    """Windows with one of the words in them and no other, as many for each word.

    Args:
        class_V: the class of each id, -1 for what is none of the words.
    """
    candidates: list[Candidate] = []
    for document in draw_documents(documents, num_examples, generator):
        tokens = documents[document]
        candidates += _candidates(int(document), tokens, class_V, window_tokens, generator)
    num_classes = int(class_V.max(initial=_NONE)) + 1
    return choose_balanced(documents, candidates, num_examples, num_classes)


def _candidates(
    document: int,
    tokens: Tokens,
    class_V: IntArray,
    window_tokens: int,
    generator: np.random.Generator,
) -> Iterator[Candidate]:
    """The windows of a document, cut end to end and in random order, that hold one word."""
    num_windows = len(tokens) // window_tokens
    windows_NL = class_V[tokens[: num_windows * window_tokens]].reshape(-1, window_tokens)
    last_N = windows_NL.max(axis=1, initial=_NONE)
    first_N = np.where(windows_NL == _NONE, len(class_V), windows_NL).min(
        axis=1, initial=len(class_V)
    )
    turns: dict[int, int] = {}
    for window in generator.permutation(np.flatnonzero(first_N == last_N)):
        label = int(last_N[window])
        turn = turns.get(label, 0)
        start = int(window) * window_tokens
        yield Candidate(turn, document, start, start + window_tokens, label)
        turns[label] = turn + 1
