"""Pairs of texts whose likeness people judged: does a system put them in the same order?

Shape letters: P pairs, R bootstrap resamples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.rank_correlation import rank_correlation, weighted_rank_correlations
from model.retrieval import Floats, MeanEstimate
from tasks.evaluate.judged_files import JudgedFile
from tasks.evaluate.pair_resampling import PairUnits, pair_units
from tasks.evaluate.scores import SIMILARITY_PAIRS, Difference, Score
from tasks.evaluate.vectors import System, paired_similarities, ranked_pairs_of

SPEARMAN = "spearman"
COLUMNS = ("text_a", "text_b", "similarity")

_MIN_PAIRS = 3
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

    @property
    def num_texts(self) -> int:
        """Distinct texts on both sides."""
        return len({*self.first_texts, *self.second_texts})

    @cached_property
    def units(self) -> PairUnits:
        """What a resample draws: texts where texts recur, else pairs."""
        texts = dict.fromkeys([*self.first_texts, *self.second_texts])
        number = {text: position for position, text in enumerate(texts)}
        first_P, second_P = (
            np.array([number[text] for text in side], np.int64)[side_P]
            for side, side_P in (
                (self.first_texts, self.first_P),
                (self.second_texts, self.second_P),
            )
        )
        return pair_units(first_P, second_P)


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
    """Spearman's rank correlation with the judgements, with a percentile bootstrap interval.

    0 for a system that `is_blind`. Resamples draw texts where texts recur, since pairs that share
    a text are not independent, and pairs where every text stands in one: `PairUnits` says how. A
    resample in which one side is all equal, or no judged pair is left, counts as 0.
    """
    values_R = _resampled(found.similarities_P, pairs, num_resamples, seed)
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
    """How far one system's rank correlation is above another's, both on the same resamples, which
    are those of `pair_score`."""
    own_R, other_R = (
        _resampled(found.similarities_P, pairs, num_resamples, seed) for found in (own, other)
    )
    own_value, other_value = (
        rank_correlation(found.similarities_P, pairs.judged_P) for found in (own, other)
    )
    estimate = _estimate(own_value - other_value, own_R - other_R, len(pairs.judged_P))
    return Difference(own.system, other.system, SIMILARITY_PAIRS, SPEARMAN, estimate)


def _resampled(values_P: Floats, pairs: JudgedPairs, num_resamples: int, seed: int) -> Floats:
    """Rank correlations of resamples; the same seed draws the same ones for any system."""
    blocks = pairs.units.counts(num_resamples=num_resamples, seed=seed)
    return np.concatenate(
        [weighted_rank_correlations(values_P, pairs.judged_P, counts_RP) for counts_RP in blocks]
    )


def _estimate(value: float, values_R: Floats, num_pairs: int) -> MeanEstimate:
    low, high = np.quantile(values_R, [0.025, 0.975])
    return MeanEstimate(value, float(low), float(high), num_pairs)
