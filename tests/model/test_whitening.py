"""Whitened features: uncorrelated, of variance one, and safe where directions are empty."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.whitening import fit_whitening


def correlated(num: int, width: int, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=generator)
    return torch.randn(num, width, generator=generator) @ mix + 7


def test_covariance_becomes_the_unit_matrix() -> None:
    features = correlated(500, 8, seed=0)
    white = fit_whitening(features, floor=0.0).apply(features)
    assert white.dtype == torch.float32
    torch.testing.assert_close(white.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(white.T @ white / 500, torch.eye(8), atol=1e-3, rtol=0)


def test_an_affine_change_only_rotates() -> None:
    features = correlated(300, 6, seed=1)
    changed = features @ correlated(6, 6, seed=2) - 40
    one, other = (fit_whitening(x, floor=0.0).apply(x) for x in (features, changed))
    torch.testing.assert_close(one @ one.T, other @ other.T, atol=2e-2, rtol=0)


def test_a_direction_below_the_floor_is_not_blown_up() -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(400, 2, generator=generator)
    features = torch.stack([features[:, 0], features[:, 0] + 1e-4 * features[:, 1]], dim=1)
    deviation = fit_whitening(features, floor=0.01).apply(features).std(0).sort().values
    assert float(deviation[0]) < 0.01
    assert abs(float(deviation[1]) - 1) < 0.01


@settings(max_examples=25, deadline=None)
@given(
    num=st.integers(1, 30),
    width=st.integers(1, 12),
    scale=st.floats(1e-6, 1e6),
    offset=st.floats(-1e3, 1e3),
    num_constant=st.integers(0, 3),
)
def test_any_features_stay_finite(
    num: int, width: int, scale: float, offset: float, num_constant: int
) -> None:
    generator = torch.Generator().manual_seed(num)
    features = torch.randn(num, width, generator=generator) * scale + offset
    features[:, :num_constant] = 1 / 3
    white = fit_whitening(features).apply(features)
    assert bool(white.isfinite().all())
    assert float(white.square().mean()) < 1.1
