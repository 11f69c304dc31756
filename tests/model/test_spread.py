"""Alignment, uniformity and effective rank, against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.spread import spread


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def halves(num: int, dim: int, *, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random directions, and the same with noise."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(num, dim))
    return unit(first), unit(first + noise * rng.normal(size=(num, dim)))


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.exp(-2 * np.square(x.astype(float) - y).sum()))


@settings(deadline=None, max_examples=20)
@given(st.integers(3, 30), st.integers(2, 6), st.integers(0, 100))
def test_values_are_the_definitions(num: int, dim: int, seed: int) -> None:
    first, second = halves(num, dim, noise=0.5, seed=seed)
    found = spread(first, second)
    vectors = np.concatenate([first, second]).astype(float)
    expected = np.square(first.astype(float) - second).sum(1).mean()
    assert found.alignment.value == pytest.approx(expected)
    pairs = [
        kernel(x, y)
        for i, x in enumerate(vectors)
        for j, y in enumerate(vectors)
        if i % num != j % num
    ]
    assert found.uniformity.value == pytest.approx(np.log(np.mean(pairs)))
    shares = np.linalg.eigvalsh(np.cov(vectors.T))
    shares = shares[shares > 1e-12] / shares.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert found.effective_rank.value == pytest.approx(expected, rel=1e-4)
    for estimate in vars(found).values():
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.n == num


def test_many_rows_give_what_few_at_a_time_give(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = halves(40, 5, noise=0.3)
    whole = spread(first, second)
    monkeypatch.setattr("model.spread._ROWS_AT_ONCE", 7)
    assert spread(first, second).uniformity.value == pytest.approx(whole.uniformity.value)
    assert spread(first, second).uniformity.low == pytest.approx(whole.uniformity.low)


def test_even_directions_are_uniform_and_equal_halves_aligned() -> None:
    first, _ = halves(300, 64, noise=0)
    found = spread(first, first)
    assert found.alignment.value == found.alignment.low == found.alignment.high == 0
    assert found.uniformity.value == pytest.approx(-4, abs=0.15)
    assert found.effective_rank.value > 50


def test_a_collapsed_system_is_the_worst_of_all() -> None:
    same = np.repeat(unit(np.array([[0.3, -0.2, 0.9]])), 20, axis=0)
    found = spread(same, same)
    assert found.uniformity.value == pytest.approx(0, abs=1e-6)
    assert found.effective_rank.value == found.effective_rank.high == 0


def test_texts_without_a_vector_are_counted_not_fatal() -> None:
    first, second = halves(30, 4, noise=0.3)
    first[0] = 0
    found = spread(first, second)
    assert all(np.isfinite(estimate.value) for estimate in vars(found).values())


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    large = spread(*halves(2000, 4, noise=0.5, seed=999))
    covered = np.zeros(2)
    for seed in range(100):
        found = spread(*halves(60, 4, noise=0.5, seed=seed))
        pairs = ((found.alignment, large.alignment), (found.uniformity, large.uniformity))
        covered += [small.low <= truth.value <= small.high for small, truth in pairs]
    assert (covered >= 86).all()


@pytest.mark.parametrize(("num_first", "num_second"), [(2, 2), (3, 4)])
def test_too_few_or_unpaired_halves_are_refused(num_first: int, num_second: int) -> None:
    vectors = unit(np.eye(4))
    with pytest.raises(ValueError, match="no spread"):
        spread(vectors[:num_first], vectors[:num_second])
