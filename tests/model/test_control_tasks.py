"""Control tasks: one label a word type, drawn from the real shares; selectivity from sums."""

import pytest
import torch

from model.control_tasks import control_labels, selectivity
from model.intervals import jackknife_interval


def test_labels_follow_the_real_shares_and_the_seed() -> None:
    labels = torch.tensor([0] * 700 + [2] * 250 + [3] * 50)
    control = control_labels(labels, num_types=20_000, num_classes=5, seed=3)
    assert control.dtype == torch.int64
    shares = torch.bincount(control, minlength=5) / 20_000
    torch.testing.assert_close(
        shares, torch.tensor([0.7, 0.0, 0.25, 0.05, 0.0]), atol=0.012, rtol=0
    )
    assert shares[1] == shares[4] == 0
    again = control_labels(labels, num_types=20_000, num_classes=5, seed=3)
    other = control_labels(labels, num_types=20_000, num_classes=5, seed=4)
    assert torch.equal(control, again)
    assert float((control == other).double().mean()) == pytest.approx(0.555, abs=0.02)


def test_more_types_do_not_change_the_labels_of_the_first() -> None:
    labels = torch.arange(10)
    few, many = (
        control_labels(labels, num_types=num, num_classes=10, seed=0) for num in (40, 4000)
    )
    assert torch.equal(few, many[:40])


def test_labels_do_not_depend_on_the_order_of_examples() -> None:
    labels = torch.arange(30) % 4
    one, other = (
        control_labels(x, num_types=50, num_classes=4, seed=1) for x in (labels, labels.flip(0))
    )
    assert torch.equal(one, other)


def test_selectivity_is_a_difference_of_accuracies_with_an_interval() -> None:
    right, control, words = (torch.tensor(x) for x in ([80.0, 90], [60.0, 50], [100.0, 100]))
    interval = jackknife_interval(selectivity, [right, control, words])
    assert float(interval.value) == pytest.approx(0.3)
    assert float(interval.low) < 0.3 < float(interval.high)
