"""Drift is found where there is some, and chance raises no more alarms than it may."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from model.drift import compare, differences, draw_sets, pairwise_distances, sizes_of, thresholds

A_NIGHT = 1 / 30
Floats = NDArray[np.float64]
World = Callable[[np.random.Generator, int], tuple[Floats, Floats]]


def usual(draw: np.random.Generator, num: int) -> tuple[Floats, Floats]:
    """Three numbers that hang together, one skewed, and unit vectors about two centres."""
    loss = draw.normal(3, 0.5, num)
    numbers = np.column_stack([loss + draw.normal(0, 0.1, num), draw.lognormal(0, 1, num), loss])
    vectors = draw.normal(size=(num, 8)) + 3 * draw.integers(0, 2, num)[:, None]
    return numbers, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def rare(draw: np.random.Generator, num: int) -> tuple[Floats, Floats]:
    """One document in fifty is quite another: many references hold none, or one."""
    numbers, vectors = usual(draw, num)
    is_odd = draw.random(num) < 0.02
    numbers[:, 1] = np.where(is_odd, 0.9, 0.0)
    vectors[is_odd] = -vectors[is_odd]
    return numbers, vectors


def night(
    seed: int, reference: World, new: World, num_reference: int, num_new: int, resamples: int = 240
) -> NDArray[np.bool_]:
    draw = np.random.default_rng(seed)
    old_numbers, old_vectors = reference(draw, num_reference)
    new_numbers, new_vectors = new(draw, num_new)
    return compare(
        old_numbers,
        new_numbers,
        old_vectors,
        new_vectors,
        num_two_sided=2,
        num_resamples=resamples,
        false_alarm_frac=A_NIGHT,
        seed=seed,
    ).is_above_K


@pytest.mark.parametrize("world", [usual, rare])
@pytest.mark.parametrize(("num_reference", "num_new"), [(60, 30), (60, 8)])
def test_chance_raises_an_alarm_a_month_at_most(
    world: World, num_reference: int, num_new: int
) -> None:
    """All measures together. 600 nights may have 20; with three standard deviations, 34."""
    alarms = sum(
        bool(night(seed, world, world, num_reference, num_new).any()) for seed in range(600)
    )
    assert alarms <= 34


def test_the_rate_is_not_bought_with_deafness() -> None:
    """Without more documents, a loss that is one standard deviation off is found in most nights."""

    def harder(draw: np.random.Generator, num: int) -> tuple[Floats, Floats]:
        numbers, vectors = usual(draw, num)
        return numbers + np.array([0, 0, 0.5]), vectors

    found = [night(seed, usual, harder, 100, 30) for seed in range(60)]
    assert sum(bool(alarm[2]) for alarm in found) > 50


def test_what_may_fall_raises_no_alarm_when_it_falls() -> None:
    """Documents that were edited after the encoder learned from them are easier to guess."""

    def shifted(by: list[float]) -> World:
        def draw_shifted(draw: np.random.Generator, num: int) -> tuple[Floats, Floats]:
            numbers, vectors = usual(draw, num)
            return numbers + np.array(by), vectors

        return draw_shifted

    for seed in range(20):
        assert not night(seed, usual, shifted([0, 0, -9]), 100, 30)[2]
        assert night(seed, usual, shifted([-9, 0, 0]), 100, 30)[0]


def test_another_subject_is_found_in_the_vectors_alone() -> None:
    def elsewhere(draw: np.random.Generator, num: int) -> tuple[Floats, Floats]:
        numbers, _ = usual(draw, num)
        vectors = draw.normal(size=(num, 8)) + np.array([3, -3, 0, 0, 3, -3, 0, 0])
        return numbers, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    for seed in range(20):
        assert night(seed, usual, elsewhere, 100, 12)[3]


def test_equal_documents_are_no_drift_whatever_the_rounding() -> None:
    same = np.full((50, 3), 0.1), np.full((50, 4), 0.3)
    new = same[0][:20], same[1][:20]
    found = compare(
        same[0],
        new[0],
        same[1],
        new[1],
        num_two_sided=2,
        num_resamples=200,
        false_alarm_frac=A_NIGHT,
        seed=0,
    )
    assert not found.is_above_K.any()


def test_differences_are_those_that_are_counted_one_by_one() -> None:
    draw = np.random.default_rng(0)
    values, vectors = draw.normal(size=(9, 2)), draw.normal(size=(9, 3))
    inside = np.array([0, 1, 1, 0, 0, 1, 1, 0, 0], dtype=bool)
    distances = pairwise_distances(vectors)
    found = [differences(is_new[None], values, distances)[0] for is_new in (inside, ~inside)]

    def mean_distance(one: list[int], other: list[int]) -> float:
        pairs = [np.linalg.norm(vectors[i] - vectors[j]) for i in one for j in other if i != j]
        return float(np.mean(pairs))

    a, b = np.flatnonzero(inside).tolist(), np.flatnonzero(~inside).tolist()
    energy = 2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)
    shift = values[a].mean(axis=0) - values[b].mean(axis=0)
    np.testing.assert_allclose(found, [[*shift, energy], [*-shift, energy]])


@pytest.mark.parametrize("resamples", [89, 300])
def test_thresholds_let_through_what_they_may_and_hardly_less(resamples: int) -> None:
    null = np.random.default_rng(1).standard_t(3, size=(resamples, 4))
    sizes = sizes_of(null, 3)
    above = (sizes > thresholds(sizes, A_NIGHT)).any(axis=1).sum()
    allowed = int(A_NIGHT * (resamples + 1)) - 1
    assert allowed - 3 <= above <= allowed


def test_too_few_draws_never_raise_an_alarm() -> None:
    null = np.random.default_rng(1).normal(size=(20, 2))
    assert np.isinf(thresholds(null, A_NIGHT)).all()


def test_sets_are_of_one_size_and_follow_from_seed_and_pool() -> None:
    sets = draw_sets(5, 40, 2000, key=(3, 0))
    assert (sets.sum(axis=1) == 5).all()
    assert np.array_equal(sets, draw_sets(5, 40, 2000, key=(3, 0)))
    assert not np.array_equal(sets, draw_sets(5, 40, 2000, key=(3, 1)))
    np.testing.assert_allclose(sets.mean(axis=0), 5 / 40, atol=0.04)


@pytest.mark.parametrize(("num_reference", "num_new"), [(40, 1), (20, 19), (10, 12)])
def test_sets_that_cannot_be_compared_are_refused(num_reference: int, num_new: int) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        night(0, usual, usual, num_reference, num_new)
