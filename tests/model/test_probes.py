"""Linear probes: exact, repeatable, at chance on shuffled labels."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from model.probes import choose_probe, fit_probes, shuffle_labels


def planted(
    num_examples: int, width: int, *, strength: float, seed: int, num_classes: int = 2
) -> tuple[Tensor, Tensor]:
    """Gaussian features; feature c is larger by `strength` in examples of class c."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_examples) % num_classes
    features = torch.randn(num_examples, width, generator=generator)
    features[torch.arange(num_examples), labels] += strength
    return features * 3 + 5, labels


@pytest.mark.parametrize(("num_examples", "width", "num_classes"), [(80, 7, 2), (40, 60, 3)])
def test_weights_equal_an_independent_ridge(
    num_examples: int, width: int, num_classes: int
) -> None:
    features, labels = planted(num_examples, width, strength=1.0, seed=0, num_classes=num_classes)
    (probe,) = fit_probes(features, labels, num_classes=num_classes, strengths=[0.3])
    x = features.double().numpy()
    x = (x - x.mean(0)) / x.std(0)
    y = np.eye(num_classes)[labels.numpy()]
    reference = Ridge(alpha=0.3 * num_examples, solver="cholesky").fit(x, y)
    np.testing.assert_allclose(probe.weight_DC.T, reference.coef_, atol=1e-8)
    np.testing.assert_allclose(probe.bias_C, reference.intercept_, atol=1e-8)


def test_planted_property_is_read_and_its_absence_is_chance() -> None:
    train, train_labels = planted(600, 20, strength=3.0, seed=1)
    test, test_labels = planted(600, 20, strength=3.0, seed=2)
    blank, _ = planted(600, 20, strength=0.0, seed=3)
    (probe,) = fit_probes(train, train_labels, num_classes=2, strengths=[0.1])
    assert float((probe.predict(test) == test_labels).double().mean()) > 0.95
    assert 0.4 < float((probe.predict(blank) == test_labels).double().mean()) < 0.6


def test_shuffled_labels_score_at_chance() -> None:
    right = []
    for seed in range(10):
        train, labels = planted(300, 10, strength=4.0, seed=seed)
        test, test_labels = planted(300, 10, strength=4.0, seed=seed + 100)
        control = shuffle_labels(labels, seed=seed)
        assert torch.equal(control.sort().values, labels.sort().values)
        (probe,) = fit_probes(train, control, num_classes=2, strengths=[0.1])
        right.append((probe.predict(test) == shuffle_labels(test_labels, seed=seed)).double())
    assert float(torch.stack(right).mean()) == pytest.approx(0.5, abs=0.03)


def test_choice_prefers_right_answers_then_the_stronger_penalty() -> None:
    train, labels = planted(60, 40, strength=0.8, seed=4)
    other, other_labels = planted(400, 40, strength=0.8, seed=5)
    probes = fit_probes(train, labels, num_classes=2, strengths=[1e-6, 1.0, 1e6])
    right = [int((probe.predict(other) == other_labels).sum()) for probe in probes]
    chosen = choose_probe(probes, other, other_labels)
    assert right[probes.index(chosen)] == max(right)
    assert right[0] < max(right)
    same = fit_probes(train, labels, num_classes=2, strengths=[0.1, 0.1000001])
    assert choose_probe(same, other, other_labels) is same[1]


def test_constant_features_and_equal_columns_do_no_harm() -> None:
    train, labels = planted(100, 6, strength=3.0, seed=6)
    wide = torch.cat([train, torch.full((100, 1), 7.0), train], dim=1)
    (probe,) = fit_probes(wide, labels, num_classes=2, strengths=[0.01])
    assert bool(probe.weight_DC.isfinite().all())
    assert float((probe.predict(wide) == labels).double().mean()) > 0.9


def test_fitting_twice_gives_the_same_bits() -> None:
    train, labels = planted(200, 30, strength=0.5, seed=7)
    first, second = (fit_probes(train, labels, num_classes=2) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.weight_DC, other.weight_DC)
