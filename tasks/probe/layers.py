"""Rows of the measures that need no labels, for every layer.

Letters: K layers, N tokens, D hidden width, G groups of documents, E = D + 2.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import geometry
from model.intervals import Interval, jackknife_interval, sum_by_group
from model.word_geometry import (
    draw_occurrences,
    draw_random_tokens,
    explained_share,
    intra_sentence_similarity,
    occurrence_products,
    presence,
)
from tasks.probe.observe import Observed
from tasks.probe.sample import SPLIT, Sample
from tasks.probe.table import Row, row_of_interval

NUM_TOP_DIMENSIONS = 3
_SEED = 0  # of which occurrences are looked at, the same for every encoder
Measured = tuple[str, int, Interval]
_COSINE = (-1.0, 1.0)


def layer_rows(
    observed: Observed,
    sample: Sample,
    *,
    ends_sentence_V: NDArray[np.bool_] | None = None,
    prefix: str = "",
    seed: int | None = None,
) -> list[Row]:
    """Rows of every measure of every layer.

    Args:
        observed: the sample's states.
        sample: says which documents make a group.
        ends_sentence_V: which tokens end a sentence; without them nothing is said of sentences.
        prefix: goes before the measures' names.
        seed: what the rows say of the encoder's seed.
    """
    observed = _by_document(observed)
    layers = _Layers(observed, observed.document_N % sample.num_groups, sample.num_groups)
    measured = [*_similarities(layers), *_spread_and_likeness(layers), *_updates(layers)]
    measured += _explained(layers)
    if ends_sentence_V is not None:
        measured += _within_sentences(layers, ends_sentence_V)
    return [
        row_of_interval(interval, measure=prefix + name, layer=layer, split=SPLIT, seed=seed)
        for name, layer, interval in measured
    ]


def _by_document(observed: Observed) -> Observed:
    """The tokens in the order of the documents, whatever batches they came in."""
    order_N = observed.document_N.argsort(stable=True)
    return replace(
        observed,
        states_KND=observed.states_KND[:, order_N],
        types_N=observed.types_N[order_N],
        document_N=observed.document_N[order_N],
    )


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


def _explained(layers: _Layers) -> Iterator[Measured]:
    """How much of a type's states one vector explains, beyond that of as many random tokens."""
    places_TM = draw_occurrences(layers.observed.types_N, seed=_SEED)
    if not len(places_TM):
        return
    random_TM = draw_random_tokens(places_TM, num_tokens=len(layers.observed.types_N), seed=_SEED)
    parts = [presence(each, layers.group_N, layers.num_groups) for each in (places_TM, random_TM)]
    for layer, hidden_ND in enumerate(layers.observed.states_KND):
        own_TMM, other_TMM = (
            occurrence_products(hidden_ND, each).cpu() for each in (places_TM, random_TM)
        )
        beyond = partial(_explained_beyond, own_TMM, other_TMM)
        yield "explained_variance_adjusted", layer, jackknife_interval(beyond, parts)


def _explained_beyond(
    own_TMM: Tensor, other_TMM: Tensor, own_TM: Tensor, other_TM: Tensor
) -> Tensor:
    return explained_share(own_TMM, own_TM) - explained_share(other_TMM, other_TM)


def _within_sentences(layers: _Layers, ends_sentence_V: NDArray[np.bool_]) -> Iterator[Measured]:
    """How near the tokens of a sentence are to its mean, less anisotropy."""
    sentence_N, num_sentences = _sentences(layers.observed, ends_sentence_V)
    group_A = torch.zeros(num_sentences, dtype=torch.int64)
    group_A[sentence_N.cpu()] = layers.group_N.cpu()
    for layer, hidden_ND in enumerate(layers.observed.states_KND):
        near_A = intra_sentence_similarity(hidden_ND, sentence_N, num_sentences=num_sentences).cpu()
        is_counted_A = near_A.isfinite()
        if not is_counted_A.any():
            return
        counted = [
            sum_by_group(values[is_counted_A], group_A[is_counted_A], layers.num_groups)
            for values in (near_A, torch.ones_like(near_A))
        ]
        parts = [*counted, *(each.cpu() for each in _unit_sums(layers, hidden_ND))]
        yield "intra_sentence_similarity_adjusted", layer, jackknife_interval(_nearness, parts)


def _nearness(sum_: Tensor, count: Tensor, sums_TD: Tensor, counts_T: Tensor) -> Tensor:
    return sum_ / count - geometry.anisotropy(sums_TD, counts_T)


def _sentences(observed: Observed, ends_sentence_V: NDArray[np.bool_]) -> tuple[Tensor, int]:
    """The sentence of each token, and how many there are; none reaches over two documents."""
    is_end_N = torch.from_numpy(ends_sentence_V)[observed.types_N.cpu()]
    document_N = observed.document_N.cpu()
    is_first_N = torch.ones(len(is_end_N), dtype=torch.bool)
    is_first_N[1:] = is_end_N[:-1] | (document_N[1:] != document_N[:-1])
    sentence_N = is_first_N.cumsum(0) - 1
    return sentence_N.to(observed.types_N.device), int(is_first_N.sum())


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
