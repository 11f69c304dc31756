"""Few labels a class: more of them help, and the figure is stable and the same for a seed."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from tasks.evaluate.few_labels import _draw, correct_frac, usable_label_counts


def blobs(num: int, seed: int, *, apart: float = 3, dim: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Points around three centres, and which centre."""
    rng = np.random.default_rng(seed)
    labels = np.array(["a", "b", "c"])[rng.integers(0, 3, num)]
    centres = dict(zip("abc", apart * np.eye(3, dim), strict=True))
    points = np.array([centres[label] for label in labels]) + rng.normal(size=(num, dim))
    return points.astype(np.float32), labels


def accuracy(count: int, *, seed: int = 0, **changes: Any) -> float:
    (train, labels), (test, truth) = blobs(400, 1), blobs(300, 2)
    form = changes.get("form", np.asarray)
    moved, by = changes.get("moved", 0.0), changes.get("by", 1.0)
    found = correct_frac(
        form(train * by + moved),
        labels,
        form(test * by + moved),
        truth,
        num_per_class=count,
        seed=seed,
    )
    assert found.shape == (300,)
    assert set(np.round(found * 5, 9)) <= set(range(6))
    return float(found.mean())


def test_more_labels_are_better_than_few_and_few_than_chance() -> None:
    few, some, many = (accuracy(count) for count in (2, 8, 64))
    assert 0.4 < few < some < many
    assert many > 0.85


@pytest.mark.parametrize("change", [{"moved": 50.0}, {"by": 1e-3}, {"by": 100.0}])
def test_where_and_how_large_dense_vectors_are_does_not_matter(change: dict[str, float]) -> None:
    assert accuracy(8, **change) == pytest.approx(accuracy(8), abs=0.02)


def test_sparse_vectors_are_fitted_as_they_are() -> None:
    assert accuracy(16, form=sparse.csr_matrix) > 0.7


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    assert accuracy(4) == accuracy(4)
    assert accuracy(4) != accuracy(4, seed=1)


def test_a_draw_takes_so_many_of_each_class_or_all_there_are() -> None:
    labels = np.array(["a"] * 3 + ["b"] * 20 + ["c"] * 9)
    small, large = (_draw(labels, count, (0, 0)) for count in (4, 10))
    assert dict(zip(*np.unique(labels[small], return_counts=True), strict=True)) == {
        "a": 3,
        "b": 4,
        "c": 4,
    }
    assert set(small.tolist()) < set(large.tolist())
    assert small.tolist() != _draw(labels, 4, (0, 1)).tolist()


def test_counts_that_no_class_has_are_named() -> None:
    labels = np.array(["a"] * 3 + ["b"] * 20)
    assert usable_label_counts(labels, (4, 20, 21, 256)) == ([4, 20], [21, 256])


def test_vectors_that_are_all_equal_are_wrong_not_fatal() -> None:
    same, labels = np.ones((20, 3), np.float32), np.array(["a", "b"] * 10)
    found = correct_frac(same, labels, same, labels, num_per_class=4, seed=0)
    assert found.mean() == pytest.approx(0.5)
