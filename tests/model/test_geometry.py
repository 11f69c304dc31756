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
from model.intervals import jackknife

TOLERANCE = 1e-5


def states(seed: int, num_tokens: int, width: int, *, offset: float = 0.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_tokens, width, generator=generator) + offset


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


def sums_of(
    hidden: Tensor, types: Tensor, *, num_groups: int = 1, without: Tensor | None = None
) -> geometry.UnitSums:
    group = torch.arange(len(types)) % num_groups
    cells = geometry.cells_of(types, group, num_groups=num_groups)
    return geometry.unit_sums(hidden, cells, without=without)


def moments(hidden: Tensor, *, num_groups: int = 1) -> Tensor:
    group = torch.arange(len(hidden)) % num_groups
    return geometry.moments(hidden, group, num_groups=num_groups)


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
    spread, alike = geometry.anisotropy(sums), geometry.self_similarity(sums)
    assert len(spread) == len(alike) == 1 + num_groups
    assert float(spread[0]) == pytest.approx(naive_anisotropy(hidden, types), abs=TOLERANCE)
    assert float(alike[0]) == pytest.approx(naive_self_similarity(hidden, types), abs=TOLERANCE)
    is_rest = torch.arange(num_tokens) % num_groups != 0
    if num_groups > 1 and len(types[is_rest].unique()) > 1:
        rest = hidden[is_rest], types[is_rest]
        assert float(spread[1]) == pytest.approx(naive_anisotropy(*rest), abs=TOLERANCE)
        if len(types[is_rest].unique()) < len(types[is_rest]):
            assert float(alike[1]) == pytest.approx(naive_self_similarity(*rest), abs=TOLERANCE)


def test_effective_rank_equals_singular_values() -> None:
    hidden = states(0, 300, 16) * torch.linspace(0.1, 3, 16)
    singular = np.linalg.svd(hidden.double().numpy() - hidden.double().numpy().mean(0))[1]
    share = singular**2 / (singular**2).sum()
    found = geometry.effective_rank(moments(hidden, num_groups=4).sum(0))
    assert float(found) == pytest.approx(np.exp(-(share * np.log(share)).sum()), abs=TOLERANCE)


def test_effective_rank_counts_planted_directions() -> None:
    basis = torch.linalg.qr(states(1, 24, 24)).Q[:5]
    hidden = states(2, 4000, 5, offset=3.0) @ basis
    found = geometry.effective_rank(moments(hidden).sum(0))
    assert float(found) == pytest.approx(5.0, abs=0.05)


def test_effective_rank_without_each_group_is_nearly_that_of_the_rest() -> None:
    """The exact jackknife is the yardstick, in few tokens of uneven spread."""
    hidden = states(11, 600, 24, offset=4.0) * torch.logspace(-2, 0.5, 24)
    found = moments(hidden, num_groups=10)
    estimates = geometry.effective_ranks(found)
    value, variance = jackknife(geometry.effective_rank, [found])
    assert float(estimates[0]) == pytest.approx(float(value), rel=1e-9)
    spread = (estimates[1:] - estimates[1:].mean()).square().sum() * 0.9
    assert float(spread.sqrt()) == pytest.approx(float(variance.sqrt()), rel=0.05)
    same = moments(torch.ones(20, 4), num_groups=4)
    assert bool(geometry.effective_ranks(same).isnan().all())


def test_tokens_outside_of_every_group_do_not_count() -> None:
    hidden, group = states(12, 90, 6), torch.arange(90) % 3
    drawn = geometry.draw_tokens(90, most=40, seed=1)
    assert len(drawn.unique()) == 40
    marked = torch.full_like(group, -1)
    marked[drawn] = group[drawn]
    found = geometry.effective_ranks(geometry.moments(hidden, marked, num_groups=3))
    alone = geometry.effective_ranks(geometry.moments(hidden[drawn], group[drawn], num_groups=3))
    torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-5)
    assert torch.equal(geometry.draw_tokens(40, most=40, seed=1), torch.arange(40))


def test_anisotropy_of_a_planted_common_direction() -> None:
    types = torch.arange(3000)
    even = states(5, 3000, 64, offset=0.0)
    leaning = even.clone()
    leaning[:, 7] += 8.0  # cosine 64 / (64 + 64)
    assert abs(float(geometry.anisotropy(sums_of(even, types))[0])) < 0.01
    assert float(geometry.anisotropy(sums_of(leaning, types))[0]) == pytest.approx(0.5, abs=0.02)
    top = geometry.top_dimensions(sums_of(leaning, types), 1)
    assert top.tolist() == [7]
    rest = float(geometry.anisotropy(sums_of(leaning, types, without=top))[0])
    assert abs(rest) < 0.01
    kept = torch.cat([leaning[:, :7], leaning[:, 8:]], dim=1)
    assert rest == pytest.approx(float(geometry.anisotropy(sums_of(kept, types))[0]), abs=1e-6)


def test_states_without_context_have_self_similarity_one() -> None:
    types = torch.arange(60) % 6
    table = states(6, 6, 10)
    assert float(geometry.self_similarity(sums_of(table[types], types))[0]) == pytest.approx(1.0)


def test_nothing_to_compare_is_nan_not_a_number() -> None:
    one_type = torch.zeros(5, dtype=torch.long)
    all_different = torch.arange(5)
    assert math.isnan(geometry.anisotropy(sums_of(states(7, 5, 4), one_type))[0])
    assert math.isnan(geometry.self_similarity(sums_of(states(7, 5, 4), all_different))[0])


def test_residual_measures_equal_loops() -> None:
    before, after = states(8, 30, 9), states(9, 30, 9)
    a, b = before.double().numpy(), after.double().numpy()
    update = [math.dist(x, y) / math.sqrt(x @ x) for x, y in zip(a, b, strict=True)]
    turned = [cosine(x, y) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(geometry.residual_update(before, after), update, atol=TOLERANCE)
    np.testing.assert_allclose(geometry.residual_cosine(before, after), turned, atol=TOLERANCE)
