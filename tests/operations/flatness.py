"""Says of a measure that was taken after each of many rounds whether it stays flat.

The slope is that of Theil and Sen, the median of the slopes of all pairs, which a few odd rounds do
not move; its interval is Sen's, from Kendall's statistic (Sen 1968). Only the last half counts: a
process fills its caches first, and how much it needs is no leak. What is judged is the growth that
the slope would mean over `ROUNDS`, because a leak is what goes on. The verdict takes the interval
and not the slope alone, so that too few rounds are never a proof that something is flat.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

ROUNDS = 200
MAX_GROWTH_FRAC = 0.10  # of the median, over `ROUNDS`; ten times that is what a year would bring
MAX_SPEEDING_UP = 1.5
_NORMAL_95 = 1.96
_MIN_POINTS = 4

Verdict = Literal["flat", "grows", "too few rounds to tell", "linear and small", "too fast"]
GOOD: frozenset[Verdict] = frozenset({"flat", "linear and small"})


@dataclass(frozen=True)
class Slope:
    """Growth a round, with its interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """A measure and what is thought of it."""

    name: str
    median: float
    slope: Slope
    verdict: Verdict

    @property
    def growth(self) -> tuple[float, float, float]:
        """Over `ROUNDS`: what the slope means, and its interval."""
        return (self.slope.value * ROUNDS, self.slope.low * ROUNDS, self.slope.high * ROUNDS)


def slope_of(rounds: Sequence[int], values: Sequence[float]) -> Slope:
    """Of Theil and Sen.

    Args:
        rounds: when; ascending.
        values: what, as many.
    """
    times, points = np.asarray(rounds, float), np.asarray(values, float)
    count = len(points)
    if count < _MIN_POINTS:
        return Slope(math.nan, -math.inf, math.inf)
    first, second = np.triu_indices(count, k=1)
    slopes = np.sort((points[second] - points[first]) / (times[second] - times[first]))
    spread = _NORMAL_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(int((len(slopes) - spread) / 2), 0)
    high = min(math.ceil((len(slopes) + spread) / 2), len(slopes) - 1)
    return Slope(float(np.median(slopes)), float(slopes[low]), float(slopes[high]))


def judge_flat(name: str, rounds: Sequence[int], values: Sequence[float]) -> Judged:
    """Of what must not grow: "flat" where even the interval's upper end stays within the limit."""
    half = len(values) // 2
    slope = slope_of(rounds[half:], values[half:])
    median = float(np.median(values[half:]))
    limit = MAX_GROWTH_FRAC * median / ROUNDS
    verdict: Verdict = "too few rounds to tell"
    if slope.high <= limit:
        verdict = "flat"
    elif slope.low > limit:
        verdict = "grows"
    return Judged(name, median, slope, verdict)


def judge_linear(
    name: str, rounds: Sequence[int], values: Sequence[float], *, limit: float
) -> Judged:
    """Of history, which grows with each round by design: at most so much, and not ever faster.

    Args:
        name, rounds, values: as of `judge_flat`.
        limit: what a round may add.
    """
    half = len(values) // 2
    before = slope_of(rounds[:half], values[:half])
    slope = slope_of(rounds[half:], values[half:])
    is_small = slope.value <= limit
    is_linear = slope.low <= MAX_SPEEDING_UP * max(before.high, 0.0)
    verdict: Verdict = "linear and small" if is_small and is_linear else "too fast"
    if math.isnan(slope.value):
        verdict = "too few rounds to tell"
    return Judged(name, float(np.median(values[half:])), slope, verdict)
