"""Scores of a ranking, and how sure they are.

Shape letters: Q queries, C candidates, R bootstrap resamples.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Counts = NDArray[np.int64]

_RESAMPLED_PER_BLOCK = 4_000_000  # indices drawn at a time: 32 MB


@dataclass(frozen=True)
class MeanEstimate:
    """A mean over n observations with the bounds of its bootstrap confidence interval."""

    value: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def similarity_blocks(
    queries_QD: Floats, candidates_CD: Floats, *, rows_per_block: int = 512
) -> Iterator[Floats]:
    """Dot products of all queries with all candidates, a block of queries at a time.

    Yields float32 blocks of shape [at most rows_per_block, C], so memory stays at
    rows_per_block x C whatever the number of queries.
    """
    candidates_DC = np.ascontiguousarray(candidates_CD.T)
    for start in range(0, len(queries_QD), rows_per_block):
        yield queries_QD[start : start + rows_per_block] @ candidates_DC


def matching_ranks(blocks: Iterable[Floats]) -> Counts:
    """Rank of candidate q for query q, from similarities that arrive as blocks of query rows.

    The best rank is 1. A tie counts against the match: a system that gives every candidate the
    same similarity ranks each match last instead of being lucky. A similarity that is not a number
    never beats anything and, on the match itself, is the last rank.

    Returns:
        ranks_Q: int64, in [1, C].

    Raises:
        ValueError: there are more queries than candidates.

    Cost: O(Q C) time, memory of one block.
    """
    ranks = [np.empty(0, dtype=np.int64)]
    num_queries = 0
    for block in blocks:
        ranks.append(_ranks_of_block(block, first_query=num_queries))
        num_queries += len(block)
    return np.concatenate(ranks)


def _ranks_of_block(similarity_QC: Floats, first_query: int) -> Counts:
    num_rows, num_candidates = similarity_QC.shape
    if first_query + num_rows > num_candidates:
        raise ValueError(f"query {num_candidates} has no candidate of the same number")
    matches_Q = np.arange(first_query, first_query + num_rows)
    similarity_QC = np.nan_to_num(similarity_QC, nan=-np.inf)
    of_match_Q = similarity_QC[np.arange(num_rows), matches_Q]
    ranks_Q: Counts = (similarity_QC >= of_match_Q[:, None]).sum(axis=1, dtype=np.int64)
    return ranks_Q


def hits_at(ranks_Q: Counts, k: int) -> Floats:
    """1.0 for each query whose match is among the first k, else 0.0. Their mean is recall@k."""
    return (ranks_Q <= k).astype(np.float64)


def reciprocal_ranks(ranks_Q: Counts) -> Floats:
    """1 / rank of each query's match. Their mean is the mean reciprocal rank (MRR)."""
    return 1.0 / ranks_Q


def bootstrap_mean(
    values_Q: Floats, *, num_resamples: int, seed: int, confidence: float = 0.95
) -> MeanEstimate:
    """The mean of one value a query, with a percentile bootstrap interval over queries.

    The same seed and number of queries draw the same resamples, whatever the values.

    Raises:
        ValueError: there is no value.

    Source: Efron and Tibshirani 1993, chapter 13.
    Cost: O(R Q) time.
    """
    if len(values_Q) == 0:
        raise ValueError("an interval needs at least one value")
    means_R = _resampled_means(np.asarray(values_Q, dtype=np.float64), num_resamples, seed)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means_R, [tail, 1.0 - tail])
    return MeanEstimate(float(np.mean(values_Q)), float(low), float(high), len(values_Q))


def bootstrap_difference(
    values_Q: Floats,
    others_Q: Floats,
    *,
    num_resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> MeanEstimate:
    """Mean of ``values - others`` over the same queries, with a paired bootstrap interval.

    Pairing takes out what makes a query hard for both systems, so it finds differences that two
    separate intervals would hide.

    Raises:
        ValueError: the two are not the same queries, or there is none.

    Source: Koehn 2004, "Statistical significance tests for machine translation evaluation".
    """
    if np.shape(values_Q) != np.shape(others_Q):
        raise ValueError(f"{np.shape(values_Q)} and {np.shape(others_Q)} values cannot be paired")
    differences_Q = np.asarray(values_Q, dtype=np.float64) - others_Q
    return bootstrap_mean(
        differences_Q, num_resamples=num_resamples, seed=seed, confidence=confidence
    )


def _resampled_means(values_Q: Floats, num_resamples: int, seed: int) -> Floats:
    generator = np.random.default_rng(seed)
    resamples_per_block = max(1, _RESAMPLED_PER_BLOCK // len(values_Q))
    means = []
    for start in range(0, num_resamples, resamples_per_block):
        num_rows = min(resamples_per_block, num_resamples - start)
        picks_RQ = generator.integers(0, len(values_Q), size=(num_rows, len(values_Q)))
        means.append(values_Q[picks_RQ].mean(axis=1))
    return np.concatenate(means)
