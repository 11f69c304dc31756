"""Foretells a score on the whole text from scores on parts of it.

A system's share of right answers is taken to move along a line: its log odds over the logarithm of
how much text was learned from. Shape letters: S shares of the text, ascending, Q queries, R
bootstrap resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from model.retrieval import MeanEstimate

Floats = NDArray[np.float64]

LEAST_SHARES = 3  # two points fit any line, and say nothing of how wrong it is
MAX_DOUBLINGS = 20  # farther from the whole text, where lines cross means nothing
_REACH = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Forecast:
    """What is foretold of one system.

    Attributes:
        curve: its score at each share that was tried, with 95 % intervals over queries.
        at_whole: its score on the whole text, with a 95 % interval that holds the choice of queries
            and how wrong the line was when the last share was foretold from the ones before.
        slope: log odds gained by a doubling of the text.
        log_odds: foretold for the whole text.
        log_odds_R: the same of each resample, float64; in step with those of other systems.
        missed_by: log odds of the last share above what the ones before had foretold.
    """

    curve: tuple[MeanEstimate, ...]
    at_whole: MeanEstimate
    slope: float
    log_odds: float
    log_odds_R: Floats = field(repr=False)
    missed_by: float

    def at(self, share: float) -> float:
        """Where the line is at a share, or multiple, of the text."""
        return float(_share_of(self.log_odds + self.slope * np.log2(share)))


def forecast(
    shares_S: Sequence[float],
    values_of: Mapping[str, Sequence[Floats]],
    *,
    num_resamples: int,
    seed: int,
) -> dict[str, Forecast]:
    """Each system's score on the whole text.

    One training run a share stands behind the values; how another seed would have trained is in
    the intervals only as far as the last share was missed.

    Args:
        shares_S: parts of the text, ascending, in (0, 1), at least three.
        values_of: by system, for each share one value in [0, 1] a query; the queries are the same
            for all shares and systems, and are resampled together.
        num_resamples: of the bootstrap.
        seed: of the resamples.

    Raises:
        ValueError: no query, too few shares, not ascending in (0, 1), or other queries at some of
            them.

    Cost: 8 R Q bytes, and O(R Q S) time for each system.
    """
    num_queries = _num_queries(shares_S, values_of)
    even_Q = np.full(num_queries, 1 / num_queries)
    weights_RQ = (
        np.random.default_rng(seed).multinomial(num_queries, even_Q, size=num_resamples)
        / num_queries
    )
    return {
        system: _forecast(np.log2(shares_S), np.stack(values), weights_RQ)
        for system, values in values_of.items()
    }


def lead(first: Forecast, second: Forecast) -> MeanEstimate:
    """How far the first is foretold above the second on the whole text, in shares of the answers.

    Paired: what makes a query hard for both, and bends of the curve that both have, cancel out.
    The interval is of the difference in log odds, told as if the second came out as foretold.
    """
    difference = first.log_odds - second.log_odds
    reach = _reach(first.log_odds_R - second.log_odds_R, first.missed_by - second.missed_by)
    ends = np.array([difference, difference - reach, difference + reach])
    value, low, high = _share_of(second.log_odds + ends) - _share_of(second.log_odds)
    return MeanEstimate(float(value), float(low), float(high), first.at_whole.n)


def crossing(first: Forecast, second: Forecast) -> float | None:
    """The share of the text at which the lines of two systems cross.

    Above 1 it says how many times the text would be needed. None where they run side by side, or
    meet only beyond 2**20 times, or below 2**-20 of, the text.
    """
    if np.isclose(first.slope, second.slope):
        return None
    doublings = (second.log_odds - first.log_odds) / (first.slope - second.slope)
    return float(2.0**doublings) if abs(doublings) <= MAX_DOUBLINGS else None


def _forecast(x_S: Floats, values_SQ: Floats, weights_RQ: Floats) -> Forecast:
    num_queries = values_SQ.shape[1]
    means_S, means_RS = values_SQ.mean(axis=1), weights_RQ @ values_SQ.T
    odds_S, odds_RS = _log_odds(means_S, num_queries), _log_odds(means_RS, num_queries)
    slope, foretold = _line(x_S, odds_S)
    _, foretold_R = _line(x_S, odds_RS)
    slope_before, at_one_before = _line(x_S[:-1], odds_S[:-1])
    missed_by = odds_S[-1] - (at_one_before + slope_before * x_S[-1])
    reach = _reach(foretold_R, missed_by)
    value, low, high = _share_of(np.array([foretold, foretold - reach, foretold + reach]))
    low_S, high_S = np.quantile(means_RS, [0.025, 0.975], axis=0)
    return Forecast(
        curve=tuple(
            MeanEstimate(float(mean), float(least), float(most), num_queries)
            for mean, least, most in zip(means_S, low_S, high_S, strict=True)
        ),
        at_whole=MeanEstimate(float(value), float(low), float(high), num_queries),
        slope=float(slope),
        log_odds=float(foretold),
        log_odds_R=foretold_R,
        missed_by=float(missed_by),
    )


def _reach(foretold_R: Floats, missed_by: float) -> float:
    """Half an interval: the spread over queries, and a miss taken for a standard error.

    With three shares that double, log odds that bend (a square term) come out on the whole text by
    5/3 of that miss away from the line; 1.96 of it covers them.
    """
    return float(_REACH * np.hypot(foretold_R.std(), missed_by))


def _line(x_S: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Slope, and value at 0 (the whole text), by least squares along the last dimension."""
    centred_S = x_S - x_S.mean()
    slope: Floats = (y * centred_S).sum(axis=-1) / (centred_S**2).sum()
    at_zero: Floats = y.mean(axis=-1) - slope * x_S.mean()
    return slope, at_zero


def _log_odds(shares: Floats, num_queries: int) -> Floats:
    """Half an answer is added to the right and to the wrong ones, so that none and all are finite
    (Haldane 1956, Anscombe 1956)."""
    right = shares * num_queries + 0.5
    odds: Floats = np.log(right / (num_queries - shares * num_queries + 0.5))
    return odds


def _share_of(log_odds: Floats | float) -> Floats:
    shares: Floats = 1.0 / (1.0 + np.exp(-np.asarray(log_odds, dtype=np.float64)))
    return shares


def _num_queries(shares_S: Sequence[float], values_of: Mapping[str, Sequence[Floats]]) -> int:
    if len(shares_S) < LEAST_SHARES:
        raise ValueError(f"a forecast needs {LEAST_SHARES} shares of the text, got {len(shares_S)}")
    if list(shares_S) != sorted(set(shares_S)) or shares_S[0] <= 0 or shares_S[-1] >= 1:
        raise ValueError(f"shares of the text must rise between 0 and 1, got {list(shares_S)}")
    sizes = {len(values) for system in values_of.values() for values in system}
    counts = {len(system) for system in values_of.values()}
    if len(sizes) != 1 or counts != {len(shares_S)} or sizes == {0}:
        raise ValueError("every system needs the same queries at every share of the text")
    return sizes.pop()
