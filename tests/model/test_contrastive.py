import math

import numpy as np
import pytest
import torch

from model.contrastive import contrastive_loss


def random_vectors(seed: int, num_rows: int = 6, dim: int = 8) -> torch.Tensor:
    return torch.randn(num_rows, dim, generator=torch.Generator().manual_seed(seed))


def reference(first_PD: np.ndarray, second_PD: np.ndarray, temperature: float) -> float:
    """InfoNCE both ways, term by term as the paper writes it."""
    first = first_PD / np.linalg.norm(first_PD, axis=1, keepdims=True)
    second = second_PD / np.linalg.norm(second_PD, axis=1, keepdims=True)
    total = 0.0
    for queries, keys in ((first, second), (second, first)):
        for index, query in enumerate(queries):
            scores = [math.exp(float(query @ key) / temperature) for key in keys]
            total -= math.log(scores[index] / sum(scores))
    return total / (2 * len(first))


def test_equals_the_formula_summed_over_prefixes() -> None:
    first, second = random_vectors(0), random_vectors(1)
    loss = contrastive_loss(first, second, temperature=0.2, dims=(8, 4, 2))
    expected = sum(reference(first[:, :d].numpy(), second[:, :d].numpy(), 0.2) for d in (8, 4, 2))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_is_chance_where_all_vectors_agree_and_nothing_where_pairs_stand_apart() -> None:
    same = torch.ones(6, 8)
    assert contrastive_loss(same, same, temperature=0.05, dims=(8,)).item() == pytest.approx(
        math.log(6), rel=1e-5
    )
    apart = torch.eye(6, 8)
    assert contrastive_loss(apart, apart, temperature=0.05, dims=(8,)).item() < 1e-6


def test_does_not_care_about_lengths_or_sides() -> None:
    first, second = random_vectors(2), random_vectors(3)
    loss = contrastive_loss(first, second, temperature=0.1, dims=(8, 2))
    scaled = contrastive_loss(second * 30, first * 0.01, temperature=0.1, dims=(8, 2))
    torch.testing.assert_close(loss, scaled)


def test_a_prefix_alone_leaves_the_rest_of_the_vector_untrained() -> None:
    first = random_vectors(4).requires_grad_()
    contrastive_loss(first, random_vectors(5), temperature=0.1, dims=(4,)).backward()
    assert first.grad is not None
    assert first.grad[:, :4].abs().min() > 0
    assert first.grad[:, 4:].abs().max() == 0
