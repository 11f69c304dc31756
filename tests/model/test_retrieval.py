"""Ranks and their uncertainty, against plain definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model import retrieval
from model.retrieval import (
    bootstrap_difference,
    bootstrap_mean,
    hits_at,
    matching_ranks,
    nearest,
    normalised_gain,
    recall_of_relevant,
    reciprocal_ranks,
    shared_frac,
    similarity_blocks,
    smallest_difference,
)

squares = st.integers(1, 12).flatmap(
    lambda size: arrays(np.float32, (size, size), elements=st.integers(-2, 2).map(float))
)


def blocks(matrix: np.ndarray, rows: int) -> list[np.ndarray]:
    return [matrix[start : start + rows] for start in range(0, len(matrix), rows)]


@given(squares, st.integers(1, 12))
def test_rank_counts_all_that_are_at_least_as_similar(similarity: np.ndarray, rows: int) -> None:
    expected = [
        sum(value >= row[query] for value in row) for query, row in enumerate(similarity.tolist())
    ]
    assert matching_ranks(blocks(similarity, rows)).tolist() == expected


def test_a_system_that_cannot_tell_candidates_apart_is_last_not_lucky() -> None:
    ranks = matching_ranks([np.ones((4, 4), np.float32)])
    assert ranks.tolist() == [4, 4, 4, 4]
    assert hits_at(ranks, 1).sum() == 0


def test_what_is_not_a_number_beats_nothing_and_wins_nothing() -> None:
    similarity = np.array([[np.nan, 0.0], [np.nan, 0.5]], np.float32)
    assert matching_ranks([similarity]).tolist() == [2, 1]


def test_a_query_without_a_candidate_is_refused() -> None:
    with pytest.raises(ValueError, match="no candidate"):
        matching_ranks([np.zeros((3, 2), np.float32)])


def test_no_query_gives_no_rank() -> None:
    assert matching_ranks([]).shape == (0,)


def test_measures_of_known_ranks() -> None:
    ranks = np.array([1, 2, 10, 11])
    assert hits_at(ranks, 1).mean() == 0.25
    assert hits_at(ranks, 10).mean() == 0.75
    assert reciprocal_ranks(ranks).tolist() == [1, 0.5, 0.1, 1 / 11]


def test_blocks_are_the_whole_matrix() -> None:
    rng = np.random.default_rng(0)
    queries, candidates = rng.normal(size=(7, 5)), rng.normal(size=(9, 5))
    found = list(similarity_blocks(queries, candidates, rows_per_block=3))
    assert [len(block) for block in found] == [3, 3, 1]
    np.testing.assert_allclose(np.concatenate(found), queries @ candidates.T, rtol=1e-12)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(300):
        estimate = bootstrap_mean(rng.normal(1.0, 2.0, size=80), num_resamples=200, seed=trial)
        covered += estimate.low <= 1.0 <= estimate.high
    assert 0.89 <= covered / 300 <= 0.98


def test_interval_of_a_share_is_as_wide_as_theory_says() -> None:
    values = np.repeat([1.0, 0.0], [300, 700])
    estimate = bootstrap_mean(values, num_resamples=4000, seed=0)
    standard_error = np.sqrt(0.3 * 0.7 / 1000)
    assert estimate.value == pytest.approx(0.3)
    assert estimate.n == 1000
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * standard_error, rel=0.1)


def test_the_same_seed_draws_the_same_resamples_in_blocks_of_any_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(1).normal(size=50)
    whole = bootstrap_mean(values, num_resamples=100, seed=5)
    assert whole != bootstrap_mean(values, num_resamples=100, seed=6)
    monkeypatch.setattr(retrieval, "_RESAMPLED_PER_BLOCK", 170)
    assert bootstrap_mean(values, num_resamples=100, seed=5) == whole


def test_pairing_sees_a_small_difference_that_separate_intervals_hide() -> None:
    rng = np.random.default_rng(2)
    hard = rng.normal(size=200)
    better = hard + 0.05 + rng.normal(scale=0.05, size=200)
    alone = [bootstrap_mean(v, num_resamples=500, seed=0) for v in (better, hard)]
    assert alone[0].low < alone[1].high
    paired = bootstrap_difference(better, hard, num_resamples=500, seed=0)
    assert paired.excludes_zero
    assert paired.value == pytest.approx(0.05, abs=0.02)


def test_equal_systems_do_not_differ() -> None:
    values = np.random.default_rng(2).normal(size=40)
    assert not bootstrap_difference(values, values, num_resamples=100, seed=0).excludes_zero


def test_other_queries_cannot_be_paired_and_nothing_has_no_mean() -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        bootstrap_difference(np.zeros(3), np.zeros(4), num_resamples=100, seed=0)
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_mean(np.zeros(0), num_resamples=100, seed=0)


@given(squares, st.integers(1, 12), st.integers(1, 15))
def test_nearest_are_the_most_similar_in_order_and_equal_ones_go_by_number(
    similarity: np.ndarray, rows: int, num_nearest: int
) -> None:
    found = nearest(blocks(similarity, rows), num_nearest).tolist()
    expected = [
        sorted(range(len(row)), key=lambda candidate: (-row[candidate], candidate))[:num_nearest]
        for row in similarity.tolist()
    ]
    assert found == expected


def test_what_is_not_a_number_is_nobodys_neighbour() -> None:
    assert nearest([np.array([[np.nan, -5.0, 0.0]])], 2).tolist() == [[2, 1]]


relevances = st.lists(st.integers(0, 4), min_size=1, max_size=14).filter(any)


def direct_ndcg(ranked: list[int], k: int) -> float:
    def gain(order: list[int]) -> float:
        return sum((2**r - 1) / math.log2(rank + 1) for rank, r in enumerate(order[:k], start=1))

    return gain(ranked) / gain(sorted(ranked, reverse=True))


@given(relevances, st.integers(1, 12))
def test_normalised_gain_is_its_formula(ranked: list[int], k: int) -> None:
    whole = np.array([ranked], dtype=np.float32)
    [found] = normalised_gain(whole[:, :k], whole)
    assert found == pytest.approx(direct_ndcg(ranked, k))
    assert 0 <= found <= 1


@given(relevances, st.integers(1, 12))
def test_the_ideal_order_gains_everything(ranked: list[int], k: int) -> None:
    ideal = np.array([sorted(ranked, reverse=True)])
    assert normalised_gain(ideal[:, :k], np.array([ranked])).tolist() == [1.0]


def test_gain_of_a_worked_case_and_of_no_relevant_candidate() -> None:
    [found] = normalised_gain(np.array([[0, 1, 2]]), np.array([[1, 2]]))
    assert found == pytest.approx((1 / math.log2(3) + 3 / 2) / (3 + 1 / math.log2(3)))
    with pytest.raises(ValueError, match="query 1 has no relevant"):
        normalised_gain(np.ones((2, 3)), np.array([[1], [0]]))


def test_recall_is_the_found_fraction_of_all_that_is_relevant() -> None:
    relevance = np.array([[0, 1, 2], [0, 0, 0], [1, 1, 1]])
    assert recall_of_relevant(relevance, np.array([2, 1, 12])).tolist() == [1, 0, 0.25]


@pytest.mark.parametrize("num_queries", [30, 400])
def test_the_smallest_difference_is_found_four_times_in_five(num_queries: int) -> None:
    rng = np.random.default_rng(4)
    spread = rng.normal(scale=0.3, size=20_000)
    truth = smallest_difference(spread[:num_queries], np.zeros(num_queries))
    truth *= 0.3 / spread[:num_queries].std(ddof=1)  # of the population, not of this sample
    samples = rng.normal(truth, 0.3, size=(3000, num_queries))
    standard_errors = samples.std(axis=1, ddof=1) / math.sqrt(num_queries)
    found = np.abs(samples.mean(axis=1) / standard_errors) > 1.96
    assert found.mean() == pytest.approx(0.8, abs=0.03)


def test_hits_and_misses_have_a_smallest_difference_too() -> None:
    rng = np.random.default_rng(5)
    num_queries, both = 300, 0.5
    only_first, only_second = 0.15, 0.05

    def draw() -> tuple[np.ndarray, np.ndarray]:
        kinds = rng.random(num_queries)
        first = kinds < both + only_first
        second = (kinds < both) | (kinds > 1 - only_second)
        return first.astype(float), second.astype(float)

    smallest = [smallest_difference(*draw()) for _ in range(200)]
    # sd of the paired difference: sqrt(0.2 - 0.1 ** 2)
    assert np.mean(smallest) == pytest.approx(2.802 * math.sqrt(0.19 / 300), rel=0.02)


def test_stricter_tests_and_fewer_queries_need_larger_differences() -> None:
    values = np.random.default_rng(6).normal(size=100)
    plain = smallest_difference(values, np.zeros(100))
    assert smallest_difference(values, np.zeros(100), significance=0.01) > plain
    assert smallest_difference(values, np.zeros(100), power=0.95) > plain
    assert smallest_difference(values[:25], np.zeros(25)) > 1.5 * plain


def test_differences_that_never_vary_show_nothing() -> None:
    assert math.isnan(smallest_difference(np.ones(9), np.zeros(9)))
    with pytest.raises(ValueError, match="no spread"):
        smallest_difference(np.ones(1), np.zeros(1))
    with pytest.raises(ValueError, match="no spread"):
        smallest_difference(np.ones(3), np.zeros(2))


def test_shared_neighbours_are_counted_in_any_order() -> None:
    first, second = np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), np.array([[4, 3, 9, 1], [0, 1, 2, 3]])
    assert shared_frac(first, second).tolist() == [0.75, 0.0]
    assert shared_frac(first, first).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="cannot be compared"):
        shared_frac(first, second[:, :3])
