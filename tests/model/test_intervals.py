"""The jackknife against the textbook interval of a mean, and its coverage."""

import numpy as np
import pytest
import torch
from scipy import stats

from model.intervals import Interval, interval_around, jackknife_interval, sum_by_group


def test_interval_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 12)
    interval = jackknife_interval(torch.div, [torch.tensor(values), torch.ones(12)])
    low, high = stats.t.interval(
        0.95, 11, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(12)
    )
    assert float(interval.value) == pytest.approx(values.mean())
    assert float(interval.low) == pytest.approx(low)
    assert float(interval.high) == pytest.approx(high)


def test_a_ratio_of_unequal_groups_is_covered_as_promised() -> None:
    generator = torch.Generator().manual_seed(1)
    covered = 0
    for _ in range(400):
        count = torch.randint(20, 60, (10,), generator=generator).double()
        shift = 0.3 * torch.randn(10, generator=generator).double()  # documents differ
        total = count * (2.0 + shift)
        interval = jackknife_interval(torch.div, [total, count])
        covered += int(interval.low <= 2.0 <= interval.high)
    assert 0.90 < covered / 400 < 0.985


def test_parts_of_a_variance_add_up_with_welchs_degrees_of_freedom() -> None:
    first, second = np.random.default_rng(2).normal(0, [[1], [3]], (2, 9))
    parts = [(torch.tensor(x.var(ddof=1) / 9), 8) for x in (first, second)]
    difference = first.mean() - second.mean()
    interval = interval_around(torch.tensor(difference), parts)
    reference = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert float(interval.low) == pytest.approx(reference.low)
    assert float(interval.high) == pytest.approx(reference.high)
    exact = interval_around(torch.tensor(1.0), [(torch.tensor(0.0), 5)])
    assert float(exact.low) == float(exact.high) == 1.0


def test_bounds_and_shapes() -> None:
    parts = [torch.tensor([[1.0, 0.0], [1.0, 5.0], [0.0, 5.0]]), torch.full((3, 1), 5.0)]
    interval = jackknife_interval(torch.div, parts).within(0.0, 1.0)
    assert interval.value.shape == (2,)
    assert float(interval.low.min()) >= 0.0
    assert float(interval.high.max()) <= 1.0
    assert float(interval.at(1).value) == pytest.approx(2 / 3)


def test_cutting_never_loses_the_value() -> None:
    """An unbiased estimate may lie outside of the range of what it estimates."""
    interval = Interval(*torch.tensor([1.02, 0.9, 1.1]))
    cut = interval.within(-1.0, 1.0)
    assert (float(cut.low), float(cut.high)) == pytest.approx((0.9, 1.02))


def test_sum_by_group_equals_a_loop() -> None:
    values, group = torch.arange(12.0).view(6, 2), torch.tensor([0, 2, 0, 1, 2, 2])
    expected = torch.stack([values[group == one].sum(0) for one in range(4)])
    assert torch.equal(sum_by_group(values, group, 4), expected.double())
