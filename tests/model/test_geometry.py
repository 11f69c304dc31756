"""The closed forms of layer geometry against naive loops over pairs and kernel matrices."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model import geometry

TOLERANCE = 1e-5


def states(seed: int, num_tokens: int, width: int, *, offset: float = 0.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_tokens, width, generator=generator) + offset


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


def sums_of(hidden: Tensor, types: Tensor, *, num_groups: int = 1) -> tuple[Tensor, Tensor]:
    group = torch.arange(len(types)) % num_groups
    num_types = int(types.max()) + 1
    sums = geometry.unit_sums(hidden, types, group, num_types=num_types, num_groups=num_groups)
    return sums[0].sum(0), sums[1].sum(0)


def moments(first: Tensor, second: Tensor, *, num_groups: int = 1) -> Tensor:
    group = torch.arange(len(first)) % num_groups
    return geometry.cross_moments(
        geometry.augment(first), geometry.augment(second), group, num_groups=num_groups
    ).sum(0)


def naive_anisotropy(hidden: Tensor, types: Tensor) -> float:
    rows = hidden.double().numpy()
    pairs = itertools.combinations(range(len(rows)), 2)
    return float(np.mean([cosine(rows[i], rows[j]) for i, j in pairs if types[i] != types[j]]))


def naive_self_similarity(hidden: Tensor, types: Tensor) -> float:
    rows = hidden.double().numpy()
    by_type = []
    for one in set(types.tolist()):
        places = [i for i, other in enumerate(types.tolist()) if other == one]
        pairs = itertools.combinations(places, 2)
        if len(places) > 1:
            by_type.append(np.mean([cosine(rows[i], rows[j]) for i, j in pairs]))
    return float(np.mean(by_type))


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
    num_tokens=st.integers(8, 40),
    width=st.integers(2, 12),
    num_groups=st.integers(1, 5),
)
def test_similarities_equal_loops_over_pairs(
    seed: int, num_tokens: int, width: int, num_groups: int
) -> None:
    hidden = states(seed, num_tokens, width)
    types = torch.arange(num_tokens) % 5
    sums = sums_of(hidden, types, num_groups=num_groups)
    assert float(geometry.anisotropy(*sums)) == pytest.approx(
        naive_anisotropy(hidden, types), abs=TOLERANCE
    )
    assert float(geometry.self_similarity(*sums)) == pytest.approx(
        naive_self_similarity(hidden, types), abs=TOLERANCE
    )


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
    found = geometry.linear_cka(
        moments(first, second, num_groups=3), moments(first, first), moments(second, second)
    )
    expected = naive_cka(first - first.mean(0), second)
    assert float(found) == pytest.approx(expected, abs=TOLERANCE, nan_ok=True)


def test_effective_rank_equals_singular_values() -> None:
    hidden = states(0, 300, 16) * torch.linspace(0.1, 3, 16)
    singular = np.linalg.svd(hidden.double().numpy() - hidden.double().numpy().mean(0))[1]
    share = singular**2 / (singular**2).sum()
    found = geometry.effective_rank(moments(hidden, hidden, num_groups=4))
    assert float(found) == pytest.approx(np.exp(-(share * np.log(share)).sum()), abs=TOLERANCE)


def test_effective_rank_counts_planted_directions() -> None:
    basis = torch.linalg.qr(states(1, 24, 24)).Q[:5]
    hidden = states(2, 4000, 5, offset=3.0) @ basis
    found = geometry.effective_rank(moments(hidden, hidden))
    assert float(found) == pytest.approx(5.0, abs=0.05)


def test_cka_knows_rotations_and_is_not_fooled_by_few_tokens() -> None:
    hidden = states(3, 60, 50)
    rotated = 7 * hidden @ torch.linalg.qr(states(4, 50, 50)).Q
    own, turned = moments(hidden, hidden), moments(rotated, rotated)
    assert float(geometry.linear_cka(moments(hidden, rotated), own, turned)) == pytest.approx(1.0)
    unrelated = [
        geometry.linear_cka(moments(hidden, other), own, moments(other, other))
        for other in (states(seed, 60, 50) for seed in range(10, 40))
    ]
    assert abs(float(torch.stack(unrelated).mean())) < 0.05
    x, y = hidden - hidden.mean(0), states(10, 60, 50) - states(10, 60, 50).mean(0)
    biased = (x.T @ y).norm() ** 2 / (x.T @ x).norm() / (y.T @ y).norm()
    assert float(biased) > 0.4  # what the plain estimate says of the same unrelated states


def test_anisotropy_of_a_planted_common_direction() -> None:
    types = torch.arange(3000)
    even = states(5, 3000, 64, offset=0.0)
    leaning = even.clone()
    leaning[:, 7] += 8.0  # cosine 64 / (64 + 64)
    assert abs(float(geometry.anisotropy(*sums_of(even, types)))) < 0.01
    assert float(geometry.anisotropy(*sums_of(leaning, types))) == pytest.approx(0.5, abs=0.02)
    rest = geometry.without_top_dimensions(leaning, 1)
    assert rest.shape == (3000, 63)
    assert abs(float(geometry.anisotropy(*sums_of(rest, types)))) < 0.01


def test_states_without_context_have_self_similarity_one() -> None:
    types = torch.arange(60) % 6
    table = states(6, 6, 10)
    assert float(geometry.self_similarity(*sums_of(table[types], types))) == pytest.approx(1.0)


def test_nothing_to_compare_is_nan_not_a_number() -> None:
    one_type = torch.zeros(5, dtype=torch.long)
    all_different = torch.arange(5)
    assert math.isnan(geometry.anisotropy(*sums_of(states(7, 5, 4), one_type)))
    assert math.isnan(geometry.self_similarity(*sums_of(states(7, 5, 4), all_different)))


def test_residual_measures_equal_loops() -> None:
    before, after = states(8, 30, 9), states(9, 30, 9)
    a, b = before.double().numpy(), after.double().numpy()
    update = [math.dist(x, y) / math.sqrt(x @ x) for x, y in zip(a, b, strict=True)]
    turned = [cosine(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(geometry.residual_update(before, after), update, atol=TOLERANCE)
    np.testing.assert_allclose(geometry.residual_cosine(before, after), turned, atol=TOLERANCE)
