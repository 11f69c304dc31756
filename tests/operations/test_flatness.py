"""The rule by which a soak calls something flat: it sees a leak, and does not see one in noise."""

import numpy as np
import pytest

from tests.operations.flatness import ROUNDS, judge_flat, judge_linear, slope_of

NUMBERS = list(range(1, ROUNDS + 1))
NOISE = np.random.default_rng(0).normal(0.0, 5.0, ROUNDS)
FLAT = 500.0 + NOISE


def test_noise_about_a_level_is_flat_and_so_is_a_filled_cache() -> None:
    filling = 400.0 * (1.0 - np.exp(-np.arange(ROUNDS) / 15.0))
    assert judge_flat("rss", NUMBERS, FLAT.tolist()).verdict == "flat"
    assert judge_flat("rss", NUMBERS, (FLAT + filling).tolist()).verdict == "flat"


def test_a_leak_in_the_noise_grows() -> None:
    leak = judge_flat("rss", NUMBERS, (FLAT + 0.6 * np.arange(ROUNDS)).tolist())
    assert leak.verdict == "grows"
    assert leak.growth[0] == pytest.approx(0.6 * ROUNDS, rel=0.1)


def test_a_single_jump_does_not_make_a_slope() -> None:
    jumped = FLAT.copy()
    jumped[150] += 400.0
    assert judge_flat("rss", NUMBERS, jumped.tolist()).verdict == "flat"


def test_a_few_rounds_prove_nothing() -> None:
    assert judge_flat("rss", NUMBERS[:8], FLAT[:8].tolist()).verdict == "too few rounds to tell"
    assert judge_flat("fds", NUMBERS[:8], [30.0] * 8).verdict == "flat"
    assert judge_flat("fds", NUMBERS[:3], [30.0] * 3).verdict == "too few rounds to tell"


def test_history_may_grow_evenly_and_by_little() -> None:
    even = (7.0 * np.arange(ROUNDS) + NOISE).tolist()
    assert judge_linear("runs", NUMBERS, even, limit=8.0).verdict == "linear and small"
    assert judge_linear("runs", NUMBERS, even, limit=6.0).verdict == "too fast"
    squares = (np.arange(ROUNDS) ** 2 / 100.0).tolist()
    assert judge_linear("runs", NUMBERS, squares, limit=8.0).verdict == "too fast"


def test_the_interval_holds_the_slope() -> None:
    slope = slope_of(NUMBERS, (3.0 * np.arange(ROUNDS) + NOISE).tolist())
    assert slope.low < 3.0 < slope.high
    assert slope.value == pytest.approx(3.0, abs=0.05)
