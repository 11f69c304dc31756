import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import RequestError
from model.order import BatchRamp, permute, rows_at_places


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


def test_places_walk_through_epochs_without_a_gap() -> None:
    seen = rows_at_places(range(100), 10, seed=5)
    for epoch in range(10):
        assert {e for e, _ in seen[epoch * 10 : epoch * 10 + 10]} == {epoch}
        assert sorted(row for _, row in seen[epoch * 10 : epoch * 10 + 10]) == list(range(10))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 30), st.integers(0, 100), st.integers(0, 40), st.integers(0, 40))
def test_places_may_be_asked_for_in_any_parts(
    num_rows: int, begin: int, first: int, second: int
) -> None:
    middle, end = begin + first, begin + first + second
    parts = [(begin, middle), (middle, end)]
    seen = [pair for part in parts for pair in rows_at_places(range(*part), num_rows, seed=5)]
    assert seen == rows_at_places(range(begin, end), num_rows, seed=5)


@st.composite
def ramps(draw: st.DrawFn) -> BatchRamp:
    rows_per_step = draw(st.integers(1, 5000))
    initial_rows = draw(st.integers(1, rows_per_step))
    return BatchRamp(
        rows_per_step=rows_per_step,
        initial_rows=initial_rows,
        ramp_steps=draw(st.integers(0, 60)),
    )


@given(ramps())
def test_rows_before_a_step_are_those_of_the_steps_before(ramp: BatchRamp) -> None:
    total = 0
    for step in range(80):
        assert ramp.rows_before(step) == total
        total += ramp.rows_at(step)


@given(ramps())
def test_a_ramp_rises_in_a_straight_line_and_stays(ramp: BatchRamp) -> None:
    rows = [ramp.rows_at(step) for step in range(80)]
    assert ramp.fewest_rows == min(rows) == rows[0]
    assert set(rows[ramp.ramp_steps :]) == {ramp.rows_per_step}
    for step in range(ramp.ramp_steps):
        line = (ramp.rows_per_step - ramp.initial_rows) * step / ramp.ramp_steps
        assert ramp.initial_rows + line - 1 < rows[step] < ramp.initial_rows + line + 1e-6


def test_a_ramp_is_exact_far_away() -> None:
    ramp = BatchRamp(rows_per_step=4096, initial_rows=100, ramp_steps=100_000)
    inside = sum(map(ramp.rows_at, range(100_000)))
    assert ramp.rows_before(10**12) == inside + (10**12 - 100_000) * 4096


def test_without_a_ramp_updates_are_equal() -> None:
    ramp = BatchRamp(rows_per_step=16, initial_rows=16, ramp_steps=0)
    assert [ramp.rows_at(step) for step in (0, 1, 10**9)] == [16] * 3
    assert [ramp.rows_before(step) for step in (0, 1, 10**9)] == [0, 16, 16 * 10**9]


@pytest.mark.parametrize("initial_rows", [0, 17])
def test_a_ramp_that_does_not_rise_is_refused(initial_rows: int) -> None:
    with pytest.raises(RequestError, match=r"must be between 1 and pretrain\.rows_per_step = 16"):
        BatchRamp(rows_per_step=16, initial_rows=initial_rows, ramp_steps=3)
