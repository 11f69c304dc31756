"""Which spans of which documents a contrastive step trains on: a pure function of seed and step.

Shape letters: T documents that can be used, P pairs of one step.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.counter import uniform
from model.order import permute

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class SpanPairs:
    """Two disjoint spans of unequal length from each of P different documents."""

    documents_P: Indices
    first_starts_P: Indices
    first_lengths_P: Indices
    second_starts_P: Indices
    second_lengths_P: Indices

    def cut(
        self, documents: Sequence[NDArray[np.integer]]
    ) -> tuple[list[NDArray[np.integer]], list[NDArray[np.integer]]]:
        """The token ids of all first spans and of all second spans, without copying them."""
        firsts = zip(self.documents_P, self.first_starts_P, self.first_lengths_P, strict=True)
        seconds = zip(self.documents_P, self.second_starts_P, self.second_lengths_P, strict=True)
        return (
            [documents[document][start : start + length] for document, start, length in firsts],
            [documents[document][start : start + length] for document, start, length in seconds],
        )


class SpanSampler:
    """Draws the span pairs of any step, in any order, from counter-based random numbers.

    An epoch is a fresh permutation of the documents cut into whole batches; the few that do not
    fill a batch sit that epoch out. So no document meets itself in a batch.
    """

    def __init__(
        self,
        lengths_T: Indices,
        *,
        documents_per_batch: int,
        span_min_tokens: int,
        span_max_tokens: int,
        seed: int,
    ) -> None:
        """Plan for documents of the given lengths.

        Args:
            lengths_T: int64, tokens of each document, at least ``2 * span_min_tokens + 1``.
            documents_per_batch: P, in 2..T.
            span_min_tokens, span_max_tokens: bounds of a span's length, the first below the second.
            seed: 0 or above.

        Raises:
            ValueError: one of the bounds does not hold.
        """
        if not 2 <= documents_per_batch <= len(lengths_T):
            raise ValueError(
                f"{len(lengths_T)} documents do not fill {documents_per_batch} a batch"
            )
        if not 1 <= span_min_tokens < span_max_tokens:
            raise ValueError(f"no unequal spans between {span_min_tokens} and {span_max_tokens}")
        if lengths_T.min() < least_tokens(span_min_tokens):
            raise ValueError(f"a document of {lengths_T.min()} tokens is too short for two spans")
        self._lengths_T = lengths_T
        self.documents_per_batch = documents_per_batch
        self._span_bounds = (span_min_tokens, span_max_tokens)
        self._seed = seed

    def pairs(self, step: int) -> SpanPairs:
        """The pairs of update number `step`, counted from 0."""
        num_documents = len(self._lengths_T)
        epoch, batch_index = divmod(step, num_documents // self.documents_per_batch)
        begin = batch_index * self.documents_per_batch
        places_P = np.arange(begin, begin + self.documents_per_batch)
        documents_P = permute(places_P, num_documents, key=(self._seed, epoch))
        uniform_P5 = _uniform(self._seed, step, (len(documents_P), 5))
        return _draw_pairs(documents_P, self._lengths_T[documents_P], self._span_bounds, uniform_P5)


def least_tokens(span_min_tokens: int) -> int:
    """Tokens a document needs for two disjoint spans of unequal length."""
    return 2 * span_min_tokens + 1


def distinct_documents(documents: Sequence[NDArray[np.integer]]) -> Indices:
    """Indices of the documents whose token ids no earlier document has.

    Copies of a document would be told apart as negatives of each other, which nothing can learn.
    """
    seen: set[bytes] = set()
    distinct = []
    for index, document in enumerate(documents):
        key = hashlib.blake2b(document.astype("<i4").tobytes(), digest_size=16).digest()
        if key not in seen:
            seen.add(key)
            distinct.append(index)
    return np.array(distinct, dtype=np.int64)


def _draw_pairs(
    documents_P: Indices,
    lengths_P: Indices,
    span_bounds: tuple[int, int],
    uniform_P5: NDArray[np.float64],
) -> SpanPairs:
    """Lengths first, then where the unused tokens go: before, between and after the spans."""
    longest, shortest, gap_a, gap_b, swap = uniform_P5.T
    span_min, span_max = span_bounds
    long_P = _between(span_min + 1, np.minimum(span_max, lengths_P - span_min), longest)
    short_P = _between(span_min, np.minimum(long_P - 1, lengths_P - long_P), shortest)
    unused_P = lengths_P - long_P - short_P
    cuts_2P = np.sort([_between(0, unused_P, gap_a), _between(0, unused_P, gap_b)], axis=0)
    is_long_first_P = swap < 0.5
    left_P = np.where(is_long_first_P, long_P, short_P)
    right_P = long_P + short_P - left_P
    return SpanPairs(documents_P, cuts_2P[0], left_P, cuts_2P[1] + left_P, right_P)


def _between(low: Indices | int, high: Indices, uniform_P: NDArray[np.float64]) -> Indices:
    """Integers in low..high, both ends included, from uniform numbers in [0, 1)."""
    return low + (uniform_P * (high - low + 1)).astype(np.int64)


def _uniform(seed: int, step: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Numbers in [0, 1) for one step. The key's second word lies below those of model.counter."""
    key = np.array([seed, step], dtype=np.uint64)
    words = np.random.Philox(key=key).random_raw(shape[0] * shape[1])
    return uniform(words).reshape(shape)
