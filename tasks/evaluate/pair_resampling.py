"""Resamples of judged pairs that know which pairs share a text.

Shape letters: P pairs, U units that are drawn, R resamples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

_COUNTED_AT_ONCE = 1_000_000  # 8 MB an array


@dataclass(frozen=True)
class PairUnits:
    """What is drawn, with replacement, in place of pairs, and which units a pair hangs on.

    A text that stands in several pairs ties them together, so texts are the units there: a pair
    counts by the product of its two texts' multiplicities. Two copies of one text are no pair of
    the resample, for nobody judged them; a pair that people judged of a text with itself hangs on
    one text and counts as often as it. A pair whose texts stand in no other pair is a unit of its
    own. So where no text recurs the pairs are drawn: the plain bootstrap.

    Where no text stands on both sides, the sides may be of different kinds (queries and documents)
    and are drawn apart; else all texts are drawn together.

    Source: Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), for two
    sides; Davezies, D'Haultfoeuille and Guyonvarch 2021, "Empirical process results for
    exchangeable arrays", Annals of Statistics 49(2), for pairs out of one set. Conservative: what
    is peculiar to single pairs counts up to three times in the variance (Owen 2007).

    Attributes:
        first_P, second_P: the two units of each pair; the same where it hangs on one.
        sizes: how many units each group has, within which they are drawn; they are numbered
            group by group.
        has_texts: whether texts are among the units, that is, whether any text recurs.
    """

    first_P: Counts
    second_P: Counts
    sizes: tuple[int, ...]
    has_texts: bool

    def counts(self, *, num_resamples: int, seed: int) -> Iterator[Counts]:
        """How often each pair counts in each resample, int64 [at most R, P], block by block.

        The same seed draws the same resamples, whatever is measured on them. A resample may be
        empty where texts are few.
        """
        root = np.random.default_rng(seed)
        generators = [root, *root.spawn(len(self.sizes) - 1)]  # blocks do not change the draws
        num_at_once = max(1, _COUNTED_AT_ONCE // max(len(self.first_P), sum(self.sizes)))
        is_one_P = self.first_P == self.second_P
        for start in range(0, num_resamples, num_at_once):
            num = min(num_at_once, num_resamples - start)
            drawn = [
                _multiplicities(*each, num) for each in zip(generators, self.sizes, strict=True)
            ]
            drawn_RU = np.concatenate(drawn, axis=1)
            second_RP = np.where(is_one_P, 1, drawn_RU[:, self.second_P])
            yield drawn_RU[:, self.first_P] * second_RP


def pair_units(first_P: Counts, second_P: Counts) -> PairUnits:
    """The units of pairs of numbered texts: pair p is of texts `first_P[p]` and `second_P[p]`, and
    a text has one number on both sides."""
    is_alone_P = _stands_alone(first_P, second_P)
    ours, theirs = first_P[~is_alone_P], second_P[~is_alone_P]
    if np.intersect1d(ours, theirs).size:
        groups = [np.union1d(ours, theirs)]
    else:
        groups = [np.unique(ours), np.unique(theirs)]
    texts = np.concatenate(groups)  # of each unit that is one; the sides share no text here
    order = np.argsort(texts)
    alone_units = len(texts) + np.arange(is_alone_P.sum())
    units = []
    for side_P in (first_P, second_P):
        unit_P = np.empty(len(side_P), np.int64)
        unit_P[~is_alone_P] = order[np.searchsorted(texts[order], side_P[~is_alone_P])]
        unit_P[is_alone_P] = alone_units
        units.append(unit_P)
    sizes = tuple(size for size in (*map(len, groups), len(alone_units)) if size)
    return PairUnits(units[0], units[1], sizes, has_texts=bool(len(texts)))


def _multiplicities(generator: np.random.Generator, size: int, num_resamples: int) -> Counts:
    """How often each of `size` units is drawn in as many draws, int64 [R, size]."""
    picks_RU = generator.integers(0, size, size=(num_resamples, size))
    flat = (picks_RU + size * np.arange(num_resamples)[:, None]).reshape(-1)
    return np.bincount(flat, minlength=num_resamples * size).reshape(num_resamples, size)


def _stands_alone(first_P: Counts, second_P: Counts) -> NDArray[np.bool_]:
    """Whether the texts of each pair stand in no other pair."""
    num_texts = int(max(first_P.max(), second_P.max())) + 1
    num_pairs = np.bincount(first_P, minlength=num_texts)
    num_pairs += np.bincount(second_P[first_P != second_P], minlength=num_texts)
    alone_P: NDArray[np.bool_] = (num_pairs[first_P] == 1) & (num_pairs[second_P] == 1)
    return alone_P
