"""Descent: it gets to the least, every batch has its turn, the seed alone decides."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from model.probe_descent import descend


def test_it_ends_at_the_mean_of_the_batches_targets() -> None:
    place = torch.zeros(3)
    targets = [torch.tensor([1.0, 2, 3]), torch.tensor([3.0, 2, 7])]
    descend(
        [place],
        targets,
        lambda target: (place - target).square().sum(),
        num_steps=400,
        learning_rate=0.1,
        seed=0,
    )
    assert place.tolist() == pytest.approx([2, 2, 5], abs=0.05)
    assert not place.requires_grad


def test_every_batch_has_its_turn_and_the_seed_decides_which() -> None:
    def order(seed: int) -> list[int]:
        seen = []
        weight = torch.zeros(1)

        def loss(batch: int) -> Tensor:
            seen.append(batch)
            return weight.sum()

        descend([weight], range(7), loss, num_steps=17, learning_rate=0.1, seed=seed)
        return seen

    assert set(Counter(order(0)[:14]).values()) == {2}
    assert len(order(0)) == 17
    assert order(0) == order(0) != order(1)
