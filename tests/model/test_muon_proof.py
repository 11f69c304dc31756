"""That Muon's and AdamW's updates are those of their papers.

Letters: G matrices, R rows, C columns, K singular values.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model.optimizers import Muon, Optimizers, OptimizerSettings, is_hidden_matrix, orthogonalize

SETTINGS = OptimizerSettings(
    learning_rate=3e-3,
    muon_learning_rate=2e-2,
    weight_decay=0.1,
    grad_clip=1.0,
    muon_dtype=torch.float64,
)
EXACT = {"atol": 1e-12, "rtol": 1e-10}
SHAPES = pytest.mark.parametrize("shape", [(12, 12), (8, 20), (20, 8), (1, 9), (64, 64)])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spectrum(matrix_RC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    left_RK, values_K, right_KC = torch.linalg.svd(matrix_RC, full_matrices=False)
    return left_RK, values_K, right_KC


@SHAPES
def test_singular_values_change_as_they_do_alone_and_directions_stay(
    shape: tuple[int, int],
) -> None:
    left_RK, values_K, right_KC = spectrum(normal(*shape))
    changed_KK = orthogonalize(values_K.diag()[None])[0]
    torch.testing.assert_close(changed_KK, changed_KK.diagonal().diag(), **EXACT)
    expected_RC = left_RK @ changed_KK @ right_KC
    made_RC = orthogonalize(normal(*shape)[None])[0]
    torch.testing.assert_close(made_RC, expected_RC, atol=1e-9, rtol=0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 24),
    columns=st.integers(1, 24),
    weakest=st.floats(0.01, 1.0),
    scale=st.sampled_from([1e-5, 1.0, 1e5]),
    seed=st.integers(0, 99),
)
def test_singular_values_end_near_one(
    rows: int, columns: int, weakest: float, scale: float, seed: int
) -> None:
    left_RK, values_K, right_KC = spectrum(normal(rows, columns, seed=seed))
    values_K = scale * torch.linspace(weakest, 1.0, len(values_K), dtype=torch.float64)
    made_RC = orthogonalize((left_RK @ values_K.diag() @ right_KC)[None])[0]
    made_K = torch.linalg.svdvals(made_RC)
    assert made_K.min() > 0.8
    assert made_K.max() < 1.2
    polar_RC = left_RK @ right_KC
    assert torch.cosine_similarity(made_RC.flatten(), polar_RC.flatten(), dim=0) > 0.97


@SHAPES
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_direction_is_that_of_the_nearest_orthogonal_matrix(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    left_RK, _, right_KC = spectrum(normal(*shape))
    made_RC = orthogonalize(normal(*shape)[None].to(dtype))[0].double()
    assert torch.linalg.svdvals(made_RC).max() < 1.3
    polar_RC = left_RK @ right_KC
    assert torch.cosine_similarity(made_RC.flatten(), polar_RC.flatten(), dim=0) > 0.97


@SHAPES
@pytest.mark.parametrize(
    "change",
    [
        lambda matrices_GRC: matrices_GRC.mT,
        lambda matrices_GRC: matrices_GRC.flip(1),
        lambda matrices_GRC: -matrices_GRC.roll(1, dims=2),
        lambda matrices_GRC: (
            torch.linalg.qr(normal(*[matrices_GRC.shape[1]] * 2))[0] @ matrices_GRC
        ),
    ],
    ids=["transposed", "rows swapped", "columns shifted", "turned"],
)
def test_it_commutes_with_what_keeps_lengths(
    shape: tuple[int, int], change: Callable[[Tensor], Tensor]
) -> None:
    matrices_GRC = normal(2, *shape)
    torch.testing.assert_close(
        orthogonalize(change(matrices_GRC)), change(orthogonalize(matrices_GRC)), atol=1e-9, rtol=0
    )


def test_scale_does_not_matter_and_neighbours_in_the_stack_neither() -> None:
    matrices_GRC = normal(3, 8, 12)
    made_GRC = orthogonalize(matrices_GRC)
    scaled_GRC = matrices_GRC * torch.tensor([1e-4, 1.0, 1e6]).double()[:, None, None]
    torch.testing.assert_close(orthogonalize(scaled_GRC), made_GRC, atol=1e-9, rtol=0)
    for matrix_RC, alone_RC in zip(matrices_GRC, made_GRC, strict=True):
        torch.testing.assert_close(orthogonalize(matrix_RC[None])[0], alone_RC, **EXACT)


def test_nothing_stays_nothing() -> None:
    matrices_GRC = torch.stack([torch.zeros(6, 6), torch.eye(6)]).double()
    made_GRC = orthogonalize(matrices_GRC)
    assert made_GRC[0].eq(0).all()
    assert made_GRC[1].diagonal().gt(0.6).all()


@pytest.mark.parametrize(
    ("name", "shape", "part"),
    [
        ("model.layers.0.attn.Wqkv.weight", (24, 8), (4, 8)),  # 3 projections of 2 heads
        ("model.layers.0.mlp.Wi.weight", (20, 8), (10, 8)),  # input and gate
        ("model.layers.3.attn.Wo.weight", (8, 8), (8, 4)),  # a share of the columns a head
        ("model.layers.3.mlp.Wo.weight", (8, 10), (8, 10)),
    ],
)
def test_muon_is_momentum_made_orthogonal_then_decoupled_decay(
    name: str, shape: tuple[int, int], part: tuple[int, int]
) -> None:
    parameter = nn.Parameter(normal(*shape))
    muon = Muon({name: parameter}, replace(SETTINGS, num_heads=2))
    weight, momentum = normal(*shape), torch.zeros(shape).double()
    for step, factor in enumerate((0.5, 1.0, 0.25), start=1):
        gradient = normal(*shape, seed=step)
        parameter.grad = gradient.clone()
        muon.step(factor)
        # Jordan et al. 2024; the scale and the decay are equation 4 of Liu et al. 2025.
        momentum = 0.95 * momentum + 0.05 * gradient
        direction = 0.95 * momentum + 0.05 * gradient
        update = torch.zeros_like(direction)
        for row in range(0, shape[0], part[0]):
            for column in range(0, shape[1], part[1]):
                place = slice(row, row + part[0]), slice(column, column + part[1])
                update[place] = orthogonalize(direction[place][None])[0]
        rate = factor * 2e-2
        weight = weight - rate * (update * 0.2 * math.sqrt(max(part)) + 0.1 * weight)
        torch.testing.assert_close(parameter.detach(), weight, **EXACT)


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test_a_gradient_of_one_head_moves_that_head_alone(num_heads: int) -> None:
    in_layer = "model.layers.0.attn."
    weight_qkv, weight_o = nn.Parameter(normal(48, 16)), nn.Parameter(normal(16, 16))
    names = {f"{in_layer}Wqkv.weight": weight_qkv, f"{in_layer}Wo.weight": weight_o}
    muon = Muon(names, replace(SETTINGS, num_heads=num_heads))
    size = 16 // num_heads
    for head in range(num_heads):
        before = {name: parameter.detach().clone() for name, parameter in names.items()}
        rows = torch.arange(16) // size == head  # of each projection, as its output is cut
        weight_qkv.grad = normal(48, 16) * rows.repeat(3)[:, None]
        weight_o.grad = normal(16, 16) * rows
        for momentum in muon.momenta.values():
            momentum.zero_()
        muon.step(1.0)
        shrunk = {name: 0.998 * value for name, value in before.items()}
        moved_qkv, moved_o = (
            (parameter.detach() - shrunk[name]).abs() > 1e-9 for name, parameter in names.items()
        )
        assert torch.equal(moved_qkv.any(1), rows.repeat(3))
        assert torch.equal(moved_o.any(0), rows)


def test_an_update_of_muon_is_as_large_as_one_of_adamw() -> None:
    parameter = nn.Parameter(torch.zeros(64, 96).double())
    muon = Muon({"model.layers.0.attn.Wo.weight": parameter}, SETTINGS)
    parameter.grad = normal(64, 96)
    muon.step(1.0)
    root_mean_square = parameter.detach().pow(2).mean().sqrt() / 2e-2
    assert 0.2 * 0.7 * math.sqrt(64 / 96) < root_mean_square < 0.2 * 1.2


class Few(nn.Module):
    """A matrix outside the layers, a vector, and a matrix inside them where AdamW takes all."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(normal(5, 4))
        self.vector = nn.Parameter(normal(6, seed=1))
        self.model = nn.ModuleDict({"layers": nn.Linear(3, 2, bias=False).double()})


def test_adamw_is_its_papers_and_decays_matrices_only() -> None:
    module = Few()
    optimizers = Optimizers(module, replace(SETTINGS, has_muon=False))
    decays = {"matrix": 0.1, "vector": 0.0, "model.layers.weight": 0.1}
    assert is_hidden_matrix("model.layers.weight", module.model["layers"].weight)
    weights = {name: value.detach().numpy().copy() for name, value in module.named_parameters()}
    first = {name: np.zeros_like(value) for name, value in weights.items()}
    second = {name: np.zeros_like(value) for name, value in weights.items()}
    for step, factor in enumerate((0.3, 1.0, 0.7, 0.1), start=1):
        for name, parameter in module.named_parameters():
            gradient = normal(*parameter.shape, seed=10 * step)
            parameter.grad = gradient.clone()
            # Loshchilov and Hutter 2019, algorithm 2.
            first[name] = 0.9 * first[name] + 0.1 * gradient.numpy()
            second[name] = 0.98 * second[name] + 0.02 * gradient.numpy() ** 2
            update = first[name] / (1 - 0.9**step)
            update = update / (np.sqrt(second[name] / (1 - 0.98**step)) + 1e-8)
            weights[name] -= factor * 3e-3 * (update + decays[name] * weights[name])
        optimizers.step(factor)
        for name, parameter in module.named_parameters():
            np.testing.assert_allclose(parameter.detach().numpy(), weights[name], rtol=1e-9)
