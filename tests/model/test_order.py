import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.order import permute, rows_of_step


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(0, 2**32 - 1), st.integers(0, 1000))
def test_every_row_comes_once_an_epoch(num_rows: int, seed: int, epoch: int) -> None:
    order = permute(np.arange(num_rows), num_rows, key=(seed, epoch))
    assert sorted(order.tolist()) == list(range(num_rows))


def test_one_place_is_what_the_whole_order_has_there() -> None:
    order = permute(np.arange(1000), 1000, key=(3, 1))
    assert [int(permute(place, 1000, key=(3, 1))) for place in (0, 7, 999)] == [
        order[0],
        order[7],
        order[999],
    ]


@pytest.mark.parametrize("key", [(4, 1), (3, 2)])
def test_orders_differ_by_seed_and_epoch(key: tuple[int, int]) -> None:
    first, other = (permute(np.arange(1000), 1000, key=k) for k in ((3, 1), key))
    assert (first == other).mean() < 0.02


def test_orders_look_like_chance() -> None:
    """Where a row goes is even over the epoch, and neighbours do not stay together."""
    orders = np.stack([permute(np.arange(100), 100, key=(seed, 0)) for seed in range(500)])
    of_first = np.bincount(orders[:, 0] // 10, minlength=10)
    assert ((of_first - 50) ** 2 / 50).sum() < 27.9  # chi-squared, 9 degrees, p = 0.001
    steps_between = np.diff(orders, axis=1) % 100
    assert np.bincount(steps_between.ravel(), minlength=100)[1:].max() < 1.25 * 500


def test_places_far_away_cost_no_more() -> None:
    rows = permute(np.array([0, 10**12 - 1]), 10**12, key=(0, 0))
    assert (rows < 10**12).all()
    assert len(set(rows.tolist())) == 2


def test_steps_walk_through_epochs_without_a_gap() -> None:
    seen = [pair for step in range(25) for pair in rows_of_step(step, 4, 10, seed=5)]
    assert len(seen) == 100
    for epoch in range(10):
        assert {e for e, _ in seen[epoch * 10 : epoch * 10 + 10]} == {epoch}
        assert sorted(row for _, row in seen[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert rows_of_step(0, 23, 10, seed=5) == seen[:23]  # an update over more than two epochs
