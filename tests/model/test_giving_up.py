"""A pass through layers ends between two of them, and leaves nothing behind."""

from contextlib import suppress

import pytest
import torch
from torch import nn

from model.giving_up import GivenUp, can_be_given_up

NUM_LAYERS = 4


@pytest.fixture
def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(3, 3) for _ in range(NUM_LAYERS)))


class Asked:
    """Wants to give up when asked for the n-th time."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.times = 0

    def __call__(self) -> bool:
        self.times += 1
        return self.times == self.at


def with_gradient(layers: nn.Sequential) -> int:
    """How many layers have a gradient after a pass that is given up or not."""
    with suppress(GivenUp):
        layers(torch.ones(2, 3)).sum().backward()
    return sum(layer.weight.grad is not None for layer in layers)


@pytest.mark.parametrize("at", range(1, 2 * NUM_LAYERS + 2))
def test_between_layers_is_asked_forwards_and_backwards(layers: nn.Sequential, at: int) -> None:
    asked = Asked(at)
    with can_be_given_up(layers, asked):
        num_done = with_gradient(layers)
    assert asked.times == min(at, 2 * NUM_LAYERS)
    # The last layer's gradient is computed after it was asked backwards for the first time.
    assert num_done == (NUM_LAYERS if at > 2 * NUM_LAYERS else max(0, at - NUM_LAYERS - 1))


def test_afterwards_nobody_asks(layers: nn.Sequential) -> None:
    asked = Asked(1)
    with can_be_given_up(layers, asked):
        pass
    assert with_gradient(layers) == NUM_LAYERS
    assert asked.times == 0


def test_without_gradients_it_is_asked_forwards(layers: nn.Sequential) -> None:
    asked = Asked(3)
    with can_be_given_up(layers, asked), torch.no_grad(), pytest.raises(GivenUp):
        layers(torch.ones(2, 3))
    assert asked.times == 3


def test_being_asked_changes_no_bit(layers: nn.Sequential) -> None:
    layers(torch.ones(2, 3)).sum().backward()
    expected = [parameter.grad.clone() for parameter in layers.parameters()]
    layers.zero_grad()
    with can_be_given_up(layers, lambda: False):
        layers(torch.ones(2, 3)).sum().backward()
    for parameter, gradient in zip(layers.parameters(), expected, strict=True):
        assert torch.equal(parameter.grad, gradient)
