"""Spearman's rho of counted observations, against scipy on the list that the counts stand for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from model.rank_correlation import rank_correlation, weighted_rank_correlations

observations = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=30
)


def of_list(first: np.ndarray, second: np.ndarray) -> float:
    """Scipy's rho, and 0 where it has none."""
    if len(first) == 0 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


@given(observations)
def test_a_counted_observation_is_one_that_stands_so_often_in_the_list(
    made: list[tuple[int, int, int]],
) -> None:
    first, second, counts = (np.array(values) for values in zip(*made, strict=True))
    [found] = weighted_rank_correlations(first * 0.1, second * 0.1, counts[None])
    assert found == pytest.approx(of_list(np.repeat(first, counts), np.repeat(second, counts)))
    assert rank_correlation(first, second) == pytest.approx(of_list(first, second))


def test_every_row_of_counts_is_a_sample_of_its_own() -> None:
    rng = np.random.default_rng(0)
    values, others = rng.normal(size=(2, 40))
    counts = rng.integers(0, 4, size=(20, 40))
    found = weighted_rank_correlations(values, others, counts)
    expected = [of_list(np.repeat(values, row), np.repeat(others, row)) for row in counts]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_side_all_equal_or_an_empty_sample_gives_exactly_nothing() -> None:
    values, others = np.array([0.1, 0.1, 0.3]), np.array([1.0, 2.0, 3.0])
    counts = np.array([[2, 5, 0], [0, 0, 7], [0, 0, 0], [1, 0, 1]])
    assert weighted_rank_correlations(values, others, counts).tolist() == [0, 0, 0, 1]


def test_only_the_order_counts() -> None:
    values = np.array([0.5, 0.1, 0.9, 0.4], np.float32)
    assert rank_correlation(values, np.exp(9 * values)) == 1
    assert rank_correlation(values, -values) == -1
