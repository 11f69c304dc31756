"""Logistic probes: the best of their loss, as an independent solver finds it, and safe."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from model.logistic_probe import PRIOR, choose_logistic, class_shares, fit_logistic, fit_path
from model.whitening import fit_whitening


def planted(
    num: int, width: int, *, num_classes: int, strength: float, seed: int
) -> tuple[Tensor, Tensor]:
    """Gaussian features; feature c is larger by `strength` in examples of class c."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, num_classes, (num,), generator=generator)
    features = torch.randn(num, width, generator=generator)
    features[torch.arange(num), labels] += strength
    return features, labels


@pytest.mark.parametrize(("num_classes", "strength"), [(3, 0.01), (5, 0.3), (4, 1e-3)])
def test_probabilities_equal_an_independent_solver(num_classes: int, strength: float) -> None:
    x, labels = planted(400, 9, num_classes=num_classes, strength=1.0, seed=0)
    probe = fit_logistic(x, labels, num_classes=num_classes, strength=strength, tolerance=1e-6)
    assert probe.log_probabilities_NC(x).dtype == torch.float32
    reference = LogisticRegression(C=1 / (400 * strength), tol=1e-9, max_iter=5000).fit(
        np.concatenate([x.numpy(), np.zeros((num_classes, 9))]),
        np.concatenate([labels.numpy(), np.arange(num_classes)]),
        sample_weight=np.concatenate([np.ones(400), np.full(num_classes, PRIOR)]),
    )
    np.testing.assert_allclose(
        probe.log_probabilities_NC(x).exp(), reference.predict_proba(x.numpy()), atol=1e-4
    )
    np.testing.assert_allclose(probe.weight_DC.T, reference.coef_, atol=1e-3)


def test_no_change_of_weights_lowers_the_loss() -> None:
    """The gradient by automatic differentiation of the loss written out, in float64."""
    x, labels = planted(300, 7, num_classes=4, strength=0.8, seed=1)
    probe = fit_logistic(x.double(), labels, num_classes=4, strength=0.05, tolerance=1e-7)
    weight = probe.weight_DC.clone().requires_grad_()
    bias = probe.bias_C.clone().requires_grad_()
    logits = torch.cat([x.double() @ weight + bias, bias.expand(4, 4)])
    costs = torch.nn.functional.cross_entropy(
        logits, torch.cat([labels, torch.arange(4)]), reduction="none"
    )
    loss = (costs[:300].sum() + PRIOR * costs[300:].sum()) / 300
    loss = loss + 0.05 / 2 * weight.square().sum()
    torch.autograd.backward([loss])
    for gradient in (weight.grad, bias.grad):
        assert gradient is not None
        assert float(gradient.abs().max()) < 1e-7
    assert probe.largest_gradient <= 1e-7


def test_float32_comes_near_to_float64() -> None:
    x, labels = planted(2000, 20, num_classes=5, strength=0.8, seed=11)
    coarse, fine = (
        fit_logistic(inputs, labels, num_classes=5, strength=0.01, tolerance=1e-4)
        for inputs in (x, x.double())
    )
    exact = fit_logistic(x.double(), labels, num_classes=5, strength=0.01, tolerance=1e-9)
    least = float(exact.losses(x.double(), labels).mean())
    for probe in (coarse, fine):
        assert float(probe.losses(x.double(), labels).mean()) == pytest.approx(least, abs=2e-5)
        assert probe.largest_gradient <= 1e-4


@pytest.mark.parametrize("is_mixed", [False, True])
def test_predictions_do_not_depend_on_the_features_coordinates(is_mixed: bool) -> None:
    """Shift and scale never matter; mixtures do not where all directions count the same."""
    train, labels = planted(500, 10, num_classes=3, strength=1.0, seed=2)
    test, _ = planted(200, 10, num_classes=3, strength=1.0, seed=3)
    mix = torch.randn(10, 10, generator=torch.Generator().manual_seed(4))
    other = mix if is_mixed else torch.diag(torch.logspace(-3, 3, 10))
    seen = []
    for change in (torch.eye(10), other):
        whitening = fit_whitening(train @ change + 5, floor=0.0 if is_mixed else 1.0)
        inputs = whitening.apply(train @ change + 5)
        probe = fit_logistic(inputs, labels, num_classes=3, strength=0.01, tolerance=1e-6)
        seen.append(probe.log_probabilities_NC(whitening.apply(test @ change + 5)).exp())
    torch.testing.assert_close(seen[0], seen[1], atol=5e-3, rtol=0)


def test_without_use_of_features_shares_are_predicted() -> None:
    x, _ = planted(50, 5, num_classes=4, strength=0.0, seed=5)
    labels = torch.tensor([0] * 30 + [1] * 19 + [3])
    probe = fit_logistic(x, labels, num_classes=4, strength=1e6, tolerance=1e-7)
    expected = (torch.tensor([30, 19, 0, 1]) + 0.5) / 52
    torch.testing.assert_close(class_shares(labels, 4).float(), expected)
    found = probe.log_probabilities_NC(torch.zeros(1, 5)).exp()[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_separable_examples_and_absent_classes_stay_finite() -> None:
    x = torch.cat([torch.full((20, 3), -5.0), torch.full((20, 3), 5.0)])
    labels = torch.arange(40) // 20
    probe = fit_logistic(x, labels, num_classes=6, strength=1e-4)
    assert bool(probe.weight_DC.isfinite().all())
    assert torch.equal(probe.predict(x), labels)
    unseen = -probe.log_probabilities_NC(torch.zeros(1, 3))[0, 5]
    assert 0 < float(unseen) < 6


def test_choice_is_by_log_loss_then_by_the_stronger_penalty() -> None:
    train, labels = planted(60, 30, num_classes=2, strength=1.0, seed=6)
    other, other_labels = planted(400, 30, num_classes=2, strength=1.0, seed=7)
    strengths = (1e-4, 1e-2, 0.3, 100.0)
    probes = list(fit_path(train, labels, num_classes=2, strengths=strengths))
    assert [probe.strength for probe in probes] == sorted(strengths, reverse=True)
    losses = [float(probe.losses(other, other_labels).mean()) for probe in probes]
    chosen = choose_logistic(probes, other, other_labels)
    assert losses[probes.index(chosen)] == min(losses)
    assert chosen.strength not in (1e-4, 100.0)
    assert choose_logistic([probes[1], probes[1]], other, other_labels) is probes[1]


def test_choice_spares_fits_once_it_gets_worse() -> None:
    train, labels = planted(60, 30, num_classes=2, strength=0.0, seed=8)
    other, other_labels = planted(400, 30, num_classes=2, strength=0.0, seed=9)
    path = fit_path(train, labels, num_classes=2, strengths=(1e-3, 0.1, 1.0, 10.0))
    assert choose_logistic(path, other, other_labels).strength == 10.0
    assert next(path).strength == 0.1


def test_starting_elsewhere_ends_in_the_same_place() -> None:
    x, labels = planted(300, 8, num_classes=3, strength=1.0, seed=10)
    fresh = fit_logistic(x, labels, num_classes=3, strength=0.01, tolerance=1e-6)
    far = fit_logistic(x, labels, num_classes=3, strength=10.0)
    warm = fit_logistic(x, labels, num_classes=3, strength=0.01, tolerance=1e-6, start=far)
    torch.testing.assert_close(fresh.weight_DC, warm.weight_DC, atol=1e-4, rtol=0)
    again = fit_logistic(x, labels, num_classes=3, strength=0.01, tolerance=1e-6)
    assert torch.equal(fresh.weight_DC, again.weight_DC)
    at_its_end = fit_logistic(x, labels, num_classes=3, strength=0.01, start=fresh)
    assert at_its_end.num_steps == 0


@settings(max_examples=30, deadline=None)
@given(
    num=st.integers(1, 40),
    width=st.integers(1, 10),
    num_classes=st.integers(2, 6),
    scale=st.floats(0, 100),
    seed=st.integers(0, 1000),
)
def test_any_examples_give_probabilities(
    num: int, width: int, num_classes: int, scale: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num, width, generator=generator) * scale
    labels = torch.randint(0, num_classes, (num,), generator=generator)
    probe = fit_logistic(x, labels, num_classes=num_classes, strength=1e-3)
    shares = probe.log_probabilities_NC(x).exp().sum(1)
    torch.testing.assert_close(shares, torch.ones(num))
    blank = math.log(num_classes) * (1 + num_classes)
    assert float(probe.losses(x, labels).mean()) <= blank
