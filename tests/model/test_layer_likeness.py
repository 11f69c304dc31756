"""Likeness of layers against kernel matrices that are written out."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.geometry import draw_tokens
from model.intervals import left_out_interval
from model.layer_likeness import linear_cka

TOLERANCE = 1e-5


def states(seed: int, num_tokens: int, width: int, *, offset: float = 0.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_tokens, width, generator=generator) + offset


def cka(first: Tensor, second: Tensor, *, num_groups: int = 1) -> Tensor:
    """Of the whole, then without each group; widths are made equal by empty dimensions."""
    width = max(first.shape[1], second.shape[1])
    both = [torch.nn.functional.pad(each, (0, width - each.shape[1])) for each in (first, second)]
    group = torch.arange(len(first)) % num_groups
    found = linear_cka(torch.stack(both), group, num_groups=num_groups)
    torch.testing.assert_close(found[0].diagonal(), torch.ones(2).double(), equal_nan=True)
    return found[: 1 + num_groups, 0, 1] if num_groups > 1 else found[:1, 0, 1]


def without_each(num_tokens: int) -> list[Tensor]:
    return [torch.arange(num_tokens) % 3 != group for group in range(3)]


def naive_hsic(first: Tensor, second: Tensor) -> float:
    """Song et al. 2012 with the kernel matrices written out."""
    k = first.double().numpy() @ first.double().numpy().T
    l_ = second.double().numpy() @ second.double().numpy().T
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l_, 0)
    n, ones = len(k), np.ones(len(k))
    terms = np.trace(k @ l_) + ones @ k @ ones * (ones @ l_ @ ones) / ((n - 1) * (n - 2))
    return float((terms - 2 / (n - 2) * (ones @ k @ l_ @ ones)) / (n * (n - 3)))


def naive_cka(first: Tensor, second: Tensor) -> float:
    norm = math.sqrt(naive_hsic(first, first) * naive_hsic(second, second))
    return naive_hsic(first, second) / norm


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    num_tokens=st.integers(12, 40),
    widths=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    offset=st.floats(-20, 20),
)
def test_cka_equals_kernel_matrices(
    seed: int, num_tokens: int, widths: tuple[int, int], offset: float
) -> None:
    first = states(seed, num_tokens, widths[0], offset=offset)
    second = states(seed + 1, num_tokens, widths[1])
    second[:, 0] += first[:, 0]
    found = cka(first, second, num_groups=3)
    pairs = [(first, second), *((first[rest], second[rest]) for rest in without_each(len(first)))]
    for value, (one, other) in zip(found, pairs, strict=True):
        expected = naive_cka(one - one.mean(0), other - other.mean(0))
        assert float(value) == pytest.approx(expected, abs=TOLERANCE, nan_ok=True)


def test_cka_knows_rotations_and_is_not_fooled_by_few_tokens() -> None:
    hidden = states(3, 60, 50)
    rotated = 7 * hidden @ torch.linalg.qr(states(4, 50, 50)).Q
    assert float(cka(hidden, rotated)[0]) == pytest.approx(1.0)
    unrelated = [cka(hidden, states(seed, 60, 50))[0] for seed in range(10, 40)]
    assert abs(float(torch.stack(unrelated).mean())) < 0.05
    x, y = hidden - hidden.mean(0), states(10, 60, 50) - states(10, 60, 50).mean(0)
    biased = (x.T @ y).norm() ** 2 / (x.T @ x).norm() / (y.T @ y).norm()
    assert float(biased) > 0.4  # what the plain estimate says of the same unrelated states


def test_layers_of_any_scale_compare_alike() -> None:
    first, second = states(5, 80, 12, offset=30.0), states(6, 80, 12)
    second += first
    large = cka(1e6 * first, 1e-4 * second, num_groups=4)
    torch.testing.assert_close(large, cka(first, second, num_groups=4), rtol=1e-4, atol=1e-5)


def test_a_draw_of_tokens_agrees_with_all_of_them() -> None:
    """The estimate has no bias by size, so the draw's own interval holds the whole's value."""
    first = states(7, 1500, 24) * torch.logspace(-1, 0.5, 24)
    layers = torch.stack([first, first.roll(1, 1) + first, first + states(8, 1500, 24)])
    group = torch.arange(1500) // 5 % 10
    whole = linear_cka(layers, group, num_groups=10)[0]
    drawn = draw_tokens(1500, most=400, seed=0)
    found = left_out_interval(linear_cka(layers[:, drawn], group[drawn], num_groups=10))
    is_pair = ~torch.eye(3, dtype=torch.bool)
    assert bool(((found.low < whole) & (whole < found.high))[is_pair].all())
    assert float((found.high - found.low)[is_pair].max()) < 0.2


def test_too_few_tokens_have_no_likeness() -> None:
    states_KND = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    found_XKK = linear_cka(states_KND, torch.tensor([0, 0, 0, 0, 1]), num_groups=2)
    assert found_XKK[[0, 2]].isfinite().all()
    assert found_XKK[1].isnan().all()  # without the first group one token is left
