"""Pairs of texts whose likeness people judged: does a system put them in the same order?

Shape letters: P pairs, R bootstrap resamples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from model.retrieval import Floats, MeanEstimate
from tasks.evaluate.judged_files import JudgedFile
from tasks.evaluate.scores import SIMILARITY_PAIRS, Difference, Score
from tasks.evaluate.vectors import System, paired_similarities, ranked_pairs_of

SPEARMAN = "spearman"
COLUMNS = ("text_a", "text_b", "similarity")

_MIN_PAIRS = 3
_RANKED_AT_ONCE = 1_000_000  # 8 MB an array
_PAIRS_AT_ONCE = 4096


@dataclass(frozen=True)
class JudgedPairs:
    """Pair p is of `first_texts[first_P[p]]` and `second_texts[second_P[p]]`.

    Attributes:
        first_texts, second_texts: every text once, however many pairs it is in.
        judged_P: float64; larger is more alike, on any scale, since only the order counts.
    """

    first_texts: list[str]
    second_texts: list[str]
    first_P: NDArray[np.int64]
    second_P: NDArray[np.int64]
    judged_P: Floats


@dataclass(frozen=True)
class PairSimilarities:
    """How alike one system finds each pair: similarities_P, float32."""

    system: str
    similarities_P: Floats

    @property
    def is_blind(self) -> bool:
        """Whether it finds all pairs equally alike, so that there is no order to compare."""
        return bool(np.ptp(self.similarities_P) == 0)


def read_pairs(path: str) -> JudgedPairs:
    """The judged pairs of a file with the columns text_a, text_b and similarity.

    Raises:
        RequestError: the file is missing or damaged, lacks a column, holds a value of another kind,
            or has fewer than three pairs or only equal similarities.
    """
    file = JudgedFile(Path(path), "evaluate.similarity_pairs")
    first_index: dict[str, int] = {}
    second_index: dict[str, int] = {}
    rows = [
        (
            first_index.setdefault(row.text("text_a"), len(first_index)),
            second_index.setdefault(row.text("text_b"), len(second_index)),
            row.number_in("similarity"),
        )
        for row in file.rows(COLUMNS)
    ]
    first_P, second_P, judged_P = (np.array(values) for values in zip(*rows, strict=True))
    if len(rows) < _MIN_PAIRS or np.ptp(judged_P) == 0:
        raise file.complaint(
            f"column similarity has {len(set(judged_P))} distinct values in {len(rows)} rows: "
            f"give at least {_MIN_PAIRS} pairs that are not all judged alike"
        )
    return JudgedPairs(list(first_index), list(second_index), first_P, second_P, judged_P)


def pair_similarities(system: System, pairs: JudgedPairs) -> Iterator[PairSimilarities]:
    """How alike the system, whole and cut, finds each pair; text_a is asked with."""
    for named in ranked_pairs_of(system, pairs.first_texts, pairs.second_texts):
        parts = [
            paired_similarities(
                named.queries[pairs.first_P[start : start + _PAIRS_AT_ONCE]],
                named.candidates[pairs.second_P[start : start + _PAIRS_AT_ONCE]],
            )
            for start in range(0, len(pairs.judged_P), _PAIRS_AT_ONCE)
        ]
        yield PairSimilarities(named.system, np.concatenate(parts))


def pair_score(
    found: PairSimilarities, pairs: JudgedPairs, *, num_resamples: int, seed: int
) -> Score:
    """Spearman's rank correlation with the judgements, with a bootstrap interval over pairs.

    0 for a system that `is_blind`. Pairs that share a text are not independent, so where texts
    recur in many pairs the interval is narrower than another set of texts would bear out.
    """
    values_R = _resampled(found.similarities_P, pairs.judged_P, num_resamples, seed)
    value = rank_correlation(found.similarities_P, pairs.judged_P)
    estimate = _estimate(value, values_R, len(pairs.judged_P))
    return Score(found.system, SIMILARITY_PAIRS, SPEARMAN, estimate)


def pair_difference(
    own: PairSimilarities,
    other: PairSimilarities,
    pairs: JudgedPairs,
    *,
    num_resamples: int,
    seed: int,
) -> Difference:
    """How far one system's rank correlation is above another's, both on the same resamples."""
    own_R, other_R = (
        _resampled(found.similarities_P, pairs.judged_P, num_resamples, seed)
        for found in (own, other)
    )
    own_value, other_value = (
        rank_correlation(found.similarities_P, pairs.judged_P) for found in (own, other)
    )
    estimate = _estimate(own_value - other_value, own_R - other_R, len(pairs.judged_P))
    return Difference(own.system, other.system, SIMILARITY_PAIRS, SPEARMAN, estimate)


def rank_correlation(values_P: Floats, others_P: Floats) -> float:
    """Spearman's rho, equal values sharing their mean rank; 0 where one side is all equal."""
    return float(_rank_correlations(values_P[None], others_P[None])[0])


def _rank_correlations(values_RP: Floats, others_RP: Floats) -> Floats:
    values_RP, others_RP = (
        ranks - ranks.mean(axis=1, keepdims=True)
        for ranks in (rankdata(values_RP, axis=1), rankdata(others_RP, axis=1))
    )
    norms_R = np.sqrt(np.square(values_RP).sum(axis=1) * np.square(others_RP).sum(axis=1))
    products_R: Floats = (values_RP * others_RP).sum(axis=1)
    found_R: Floats = np.zeros_like(norms_R)
    np.divide(products_R, norms_R, out=found_R, where=norms_R > 0)
    return found_R


def _resampled(values_P: Floats, judged_P: Floats, num_resamples: int, seed: int) -> Floats:
    """Rank correlations of resampled pairs; the same seed draws the same pairs for any system."""
    generator = np.random.default_rng(seed)
    num_at_once = max(1, _RANKED_AT_ONCE // len(values_P))
    found = []
    for start in range(0, num_resamples, num_at_once):
        size = (min(num_at_once, num_resamples - start), len(values_P))
        picks_RP = generator.integers(0, len(values_P), size=size)
        found.append(_rank_correlations(values_P[picks_RP], judged_P[picks_RP]))
    return np.concatenate(found)


def _estimate(value: float, values_R: Floats, num_pairs: int) -> MeanEstimate:
    low, high = np.quantile(values_R, [0.025, 0.975])
    return MeanEstimate(value, float(low), float(high), num_pairs)
