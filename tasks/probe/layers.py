"""Rows of the measures that need no labels, for every layer.

Letters: K layers, N tokens, D hidden width, G groups of documents, E = D + 2.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model import geometry
from model.intervals import Interval, jackknife_interval, sum_by_group
from tasks.probe.observe import Observed
from tasks.probe.sample import SPLIT, Sample
from tasks.probe.table import Row, row_of_interval

NUM_TOP_DIMENSIONS = 3
Measured = tuple[str, int, Interval]
_COSINE = (-1.0, 1.0)


def layer_rows(
    observed: Observed, sample: Sample, *, prefix: str = "", seed: int | None = None
) -> list[Row]:
    """Rows of every measure of every layer; `prefix` goes before the measures' names."""
    layers = _Layers(observed, observed.document_N % sample.num_groups, sample.num_groups)
    measured = [*_similarities(layers), *_spread_and_likeness(layers), *_updates(layers)]
    return [
        row_of_interval(interval, measure=prefix + name, layer=layer, split=SPLIT, seed=seed)
        for name, layer, interval in measured
    ]


@dataclass(frozen=True)
class _Layers:
    observed: Observed
    group_N: Tensor
    num_groups: int


def _similarities(layers: _Layers) -> Iterator[Measured]:
    """How alike tokens point, and how alike occurrences of one token type point."""
    for layer, hidden_ND in enumerate(layers.observed.states_KND):
        sums = _unit_sums(layers, hidden_ND)
        together = jackknife_interval(_similarity_measures, sums)
        yield "anisotropy", layer, together.at(0).within(*_COSINE)
        yield "self_similarity", layer, together.at(1).within(*_COSINE)
        yield "self_similarity_adjusted", layer, together.at(2)
        if hidden_ND.shape[1] > NUM_TOP_DIMENSIONS:
            rest_ND = geometry.without_top_dimensions(hidden_ND, NUM_TOP_DIMENSIONS)
            sums = _unit_sums(layers, rest_ND)
            interval = jackknife_interval(geometry.anisotropy, sums).within(*_COSINE)
            yield "anisotropy_without_top_dimensions", layer, interval


def _unit_sums(layers: _Layers, hidden_ND: Tensor) -> tuple[Tensor, Tensor]:
    types, index_N = torch.unique(layers.observed.types_N, return_inverse=True)
    return geometry.unit_sums(
        hidden_ND, index_N, layers.group_N, num_types=len(types), num_groups=layers.num_groups
    )


def _similarity_measures(sums_TD: Tensor, counts_T: Tensor) -> Tensor:
    """Anisotropy, self-similarity, and what is left of it when anisotropy is taken off."""
    spread = geometry.anisotropy(sums_TD, counts_T)
    alike = geometry.self_similarity(sums_TD, counts_T)
    return torch.stack([spread, alike, alike - spread])


def _spread_and_likeness(layers: _Layers) -> Iterator[Measured]:
    """Effective rank of each layer, and the likeness of each pair of layers."""
    augmented = [geometry.augment(hidden_ND) for hidden_ND in layers.observed.states_KND]
    own = [_moments(layers, states_NE, states_NE) for states_NE in augmented]
    width = float(layers.observed.states_KND.shape[-1])
    for layer, moments_GEE in enumerate(own):
        rank = jackknife_interval(geometry.effective_rank, [moments_GEE])
        yield "effective_rank", layer, rank.within(1.0, width)
    for layer in range(len(augmented)):
        for other in range(layer):
            cross_GEE = _moments(layers, augmented[layer], augmented[other])
            parts = [cross_GEE, own[layer], own[other]]
            yield from _likeness(layer, other, parts)


def _likeness(layer: int, other: int, parts: Sequence[Tensor]) -> Iterator[Measured]:
    """Under both layers, so that the rows of a layer hold its whole line of the matrix."""
    interval = jackknife_interval(geometry.linear_cka, parts).within(*_COSINE)
    yield cka_name(other), layer, interval
    yield cka_name(layer), other, interval
    if other == layer - 1:
        yield "cka_previous_layer", layer, interval


def cka_name(layer: int) -> str:
    """The measure's name for likeness with layer number `layer`."""
    return f"cka_with_layer_{layer}"


def _moments(layers: _Layers, first_NE: Tensor, second_NE: Tensor) -> Tensor:
    return geometry.cross_moments(first_NE, second_NE, layers.group_N, num_groups=layers.num_groups)


def _updates(layers: _Layers) -> Iterator[Measured]:
    """How far each layer moves a token's state, and how much it turns it."""
    count_G = sum_by_group(torch.ones_like(layers.group_N), layers.group_N, layers.num_groups)
    states_KND = layers.observed.states_KND
    for layer in range(1, len(states_KND)):
        for name, measure, bounds in _UPDATES:
            value_N = measure(states_KND[layer - 1], states_KND[layer])
            sums_G = sum_by_group(value_N, layers.group_N, layers.num_groups)
            interval = jackknife_interval(torch.div, [sums_G, count_G])
            yield name, layer, interval.within(*bounds)


_UPDATES: tuple[tuple[str, Callable[..., Tensor], tuple[float, float]], ...] = (
    ("residual_update", geometry.residual_update, (0.0, torch.inf)),
    ("residual_cosine", geometry.residual_cosine, _COSINE),
)
