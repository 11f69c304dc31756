"""Scores of a ranking, and how sure they are.

Shape letters: Q queries, C candidates, K best of them, J judged of them, R bootstrap resamples.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import NormalDist

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


def nearest(blocks: Iterable[Floats], num_nearest: int) -> Counts:
    """The most similar candidates of each query, from similarities in blocks of query rows.

    Equal similarities go by the candidate's number. A similarity that is not a number is last.

    Returns:
        nearest_QK: int64, the nearest first; K is `num_nearest`, or C where there are fewer.

    Cost: O(Q C log C) time, memory of one block.
    """
    found = [
        np.argsort(-np.nan_to_num(block, nan=-np.inf), axis=1, kind="stable")[:, :num_nearest]
        for block in blocks
    ]
    return np.concatenate(found)


def shared_frac(first_QK: Counts, second_QK: Counts) -> Floats:
    """Of each query's neighbours in one space, the fraction that are neighbours in the other too.

    Args:
        first_QK, second_QK: int64, numbers of candidates, different ones in each row, and as many
            in both.

    Returns:
        float64 in [0, 1] for each query.

    Raises:
        ValueError: the two are not of one shape.
    """
    if first_QK.shape != second_QK.shape:
        raise ValueError(f"{first_QK.shape} and {second_QK.shape} neighbours cannot be compared")
    shared_QKK = first_QK[:, :, None] == second_QK[:, None, :]
    shares_Q: Floats = shared_QKK.any(axis=2).mean(axis=1)
    return shares_Q


def recall_of_relevant(relevance_QK: Floats, num_relevant_Q: Counts) -> Floats:
    """Of the candidates relevant to each query, the fraction among its K best.

    Args:
        relevance_QK: of the best candidates, above 0 where relevant.
        num_relevant_Q: relevant candidates in all, at least 1 each.
    """
    found_Q: Floats = (relevance_QK > 0).sum(axis=1) / num_relevant_Q
    return found_Q


def normalised_gain(relevance_QK: Floats, judged_QJ: Floats) -> Floats:
    """nDCG at K of each query: its discounted gain as a part of what the ideal order would have.

    A candidate of relevance r at rank i gains (2^r - 1) / log2(i + 1).

    Args:
        relevance_QK: of the K best candidates, the best first.
        judged_QJ: of all judged candidates, in any order; 0 where a query has fewer.

    Returns:
        float64 in [0, 1].

    Raises:
        ValueError: a query has no relevant candidate.

    Source: Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques"; gains
    and discount in the form of Burges et al. 2005.
    """
    num_best = relevance_QK.shape[1]
    ideal_QK = -np.sort(-judged_QJ, axis=1)[:, :num_best]
    ideal_Q = _discounted_gain(ideal_QK)
    if not ideal_Q.all():
        raise ValueError(f"query {int(np.argmin(ideal_Q))} has no relevant candidate")
    gain_Q: Floats = _discounted_gain(relevance_QK) / ideal_Q
    return gain_Q


def _discounted_gain(relevance_QK: Floats) -> Floats:
    discounts_K = np.log2(np.arange(relevance_QK.shape[1]) + 2)
    # One sum in rank order, so that the ideal order gives exactly the ideal gain.
    gains_Q: Floats = ((np.exp2(relevance_QK.astype(np.float64)) - 1) / discounts_K).sum(axis=1)
    return gains_Q


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


def smallest_difference(
    values_Q: Floats, others_Q: Floats, *, significance: float = 0.05, power: float = 0.8
) -> float:
    """The smallest true difference of two systems that this many queries would show.

    If the systems truly differed by so much, a paired two-sided test at `significance` would find
    it in a fraction `power` of samples of this size: (z of 1 - significance / 2 + z of power)
    standard errors of the mean paired difference, by the normal approximation. What is not
    significant and lies below it is no proof of equality.

    Args:
        values_Q, others_Q: what the two systems did on the same queries.

    Returns:
        In the unit of the values; NaN where all differences are equal, since then the sample does
        not show how much they vary.

    Raises:
        ValueError: the two are not the same queries, or there are fewer than two.

    Source: Cohen 1988, "Statistical power analysis for the behavioral sciences", chapter 2, as
    Card et al. 2020, "With little power comes great responsibility", ask of such comparisons.
    """
    if np.shape(values_Q) != np.shape(others_Q) or len(values_Q) < 2:
        raise ValueError(f"{np.shape(values_Q)} and {np.shape(others_Q)} values show no spread")
    differences_Q = np.asarray(values_Q, dtype=np.float64) - others_Q
    if np.ptp(differences_Q) == 0:
        return float("nan")
    standard_error = float(differences_Q.std(ddof=1)) / math.sqrt(len(differences_Q))
    normal = NormalDist()
    num_errors = normal.inv_cdf(1 - significance / 2) + normal.inv_cdf(power)
    return num_errors * standard_error


def _resampled_means(values_Q: Floats, num_resamples: int, seed: int) -> Floats:
    generator = np.random.default_rng(seed)
    resamples_per_block = max(1, _RESAMPLED_PER_BLOCK // len(values_Q))
    means = []
    for start in range(0, num_resamples, resamples_per_block):
        num_rows = min(resamples_per_block, num_resamples - start)
        picks_RQ = generator.integers(0, len(values_Q), size=(num_rows, len(values_Q)))
        means.append(values_Q[picks_RQ].mean(axis=1))
    return np.concatenate(means)
