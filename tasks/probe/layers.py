"""Rows of the measures that need no labels, for every layer.

Letters: K layers, N tokens, D hidden width, V vocabulary, A sentences, T token types, M most
occurrences of a type, G groups of documents, X = 1 + G (the whole sample, then what is left
without each group).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import geometry
from model.intervals import (
    Interval,
    jackknife_interval,
    left_out_interval,
    sum_by_group,
    whole_and_without_each,
)
from model.layer_likeness import MOST_TOKENS, linear_cka
from model.word_geometry import (
    draw_occurrences,
    draw_random_tokens,
    explained_shares,
    intra_sentence_similarity,
    occurrence_products,
    presence,
)
from tasks.probe.observe import Observed
from tasks.probe.sample import SPLIT, Sample
from tasks.probe.table import Row, row_of_interval

NUM_TOP_DIMENSIONS = 3
RANK_TOKENS_PER_DIMENSION = 32  # effective rank is then too low by 2 % at most
_SEED = 0  # of which tokens are looked at, the same for every encoder
Measured = tuple[str, int, Interval]
_COSINE = (-1.0, 1.0)


@torch.inference_mode()
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
    layers = layers_of(observed, sample, ends_sentence_V=ends_sentence_V)
    return [
        row_of_interval(interval, measure=prefix + name, layer=layer, split=SPLIT, seed=seed)
        for measure in LAYER_MEASURES.values()
        for name, layer, interval in measure(layers)
    ]


@dataclass(frozen=True)
class Layers:
    """What the measures of all layers start from.

    Attributes:
        observed: the tokens' states, in the order of their documents.
        group_N: int64, the group of each token's document.
        num_groups: G.
        ends_sentence_V: which tokens end a sentence, where that is known.
    """

    observed: Observed
    group_N: Tensor
    num_groups: int
    ends_sentence_V: NDArray[np.bool_] | None

    @cached_property
    def cells(self) -> geometry.Cells:
        """Tokens of one type in one group."""
        return geometry.cells_of(self.observed.types_N, self.group_N, num_groups=self.num_groups)

    @cached_property
    def unit_sums(self) -> list[geometry.UnitSums]:
        """What mean cosines of each layer depend on."""
        return [geometry.unit_sums(each, self.cells) for each in self.observed.states_KND]

    def draw(self, most: int) -> Tensor:
        """Places of at most so many tokens, the same for all layers and encoders: int64."""
        drawn = geometry.draw_tokens(len(self.group_N), most=most, seed=_SEED)
        return drawn.to(self.group_N.device)


def layers_of(
    observed: Observed, sample: Sample, *, ends_sentence_V: NDArray[np.bool_] | None = None
) -> Layers:
    """What `LAYER_MEASURES` take; arguments as for `layer_rows`."""
    observed = _by_document(observed)
    group_N = observed.document_N % sample.num_groups
    return Layers(observed, group_N, sample.num_groups, ends_sentence_V)


def _by_document(observed: Observed) -> Observed:
    """The tokens in the order of the documents, whatever batches they came in."""
    if (observed.document_N.diff() >= 0).all():
        return observed
    order_N = observed.document_N.argsort(stable=True)
    return replace(
        observed,
        states_KND=observed.states_KND[:, order_N],
        types_N=observed.types_N[order_N],
        document_N=observed.document_N[order_N],
    )


def similarities(layers: Layers) -> Iterator[Measured]:
    """How alike tokens point, and how alike occurrences of one token type point."""
    for layer, sums in enumerate(layers.unit_sums):
        spread_X, alike_X = geometry.anisotropy(sums), geometry.self_similarity(sums)
        yield "anisotropy", layer, left_out_interval(spread_X).within(*_COSINE)
        yield "self_similarity", layer, left_out_interval(alike_X).within(*_COSINE)
        yield "self_similarity_adjusted", layer, left_out_interval(alike_X - spread_X)


def without_top_dimensions(layers: Layers) -> Iterator[Measured]:
    """How alike tokens point beyond the dimensions that make them most alike."""
    states_KND = layers.observed.states_KND
    if states_KND.shape[2] <= NUM_TOP_DIMENSIONS:
        return
    for layer, (hidden_ND, sums) in enumerate(zip(states_KND, layers.unit_sums, strict=True)):
        top = geometry.top_dimensions(sums, NUM_TOP_DIMENSIONS)
        rest = geometry.unit_sums(hidden_ND, layers.cells, without=top)
        interval = left_out_interval(geometry.anisotropy(rest)).within(*_COSINE)
        yield "anisotropy_without_top_dimensions", layer, interval


def explained(layers: Layers) -> Iterator[Measured]:
    """How much of a type's states one vector explains, beyond that of as many random tokens."""
    places_TM = draw_occurrences(layers.observed.types_N, seed=_SEED)
    if not len(places_TM):
        return
    random_TM = draw_random_tokens(places_TM, num_tokens=len(layers.observed.types_N), seed=_SEED)
    drawn = [
        (each, presence(each, layers.group_N, layers.num_groups)) for each in (places_TM, random_TM)
    ]
    for layer, hidden_ND in enumerate(layers.observed.states_KND):
        own_X, other_X = (
            explained_shares(occurrence_products(hidden_ND, each).cpu(), present)
            for each, present in drawn
        )
        yield "explained_variance_adjusted", layer, left_out_interval(own_X - other_X)


def within_sentences(layers: Layers) -> Iterator[Measured]:
    """How near the tokens of a sentence are to its mean, less anisotropy."""
    if layers.ends_sentence_V is None:
        return
    sentence_N, num_sentences = _sentences(layers.observed, layers.ends_sentence_V)
    group_A = torch.zeros(num_sentences, dtype=torch.int64)
    group_A[sentence_N.cpu()] = layers.group_N.cpu()
    for layer, hidden_ND in enumerate(layers.observed.states_KND):
        near_A = intra_sentence_similarity(hidden_ND, sentence_N, num_sentences=num_sentences).cpu()
        is_counted_A = near_A.isfinite()
        if not is_counted_A.any():
            return
        sum_X, count_X = (
            whole_and_without_each(
                sum_by_group(values[is_counted_A], group_A[is_counted_A], layers.num_groups)
            )
            for values in (near_A, torch.ones_like(near_A))
        )
        near_X = sum_X / count_X - geometry.anisotropy(layers.unit_sums[layer]).cpu()
        yield "intra_sentence_similarity_adjusted", layer, left_out_interval(near_X)


def _sentences(observed: Observed, ends_sentence_V: NDArray[np.bool_]) -> tuple[Tensor, int]:
    """The sentence of each token, and how many there are; none reaches over two documents."""
    is_end_N = torch.from_numpy(ends_sentence_V)[observed.types_N.cpu()]
    document_N = observed.document_N.cpu()
    is_first_N = torch.ones(len(is_end_N), dtype=torch.bool)
    is_first_N[1:] = is_end_N[:-1] | (document_N[1:] != document_N[:-1])
    sentence_N = is_first_N.cumsum(0) - 1
    return sentence_N.to(observed.types_N.device), int(is_first_N.sum())


def effective_rank(layers: Layers) -> Iterator[Measured]:
    """How many directions each layer's states spread over, on a draw of the sample's tokens."""
    states_KND = layers.observed.states_KND
    drawn = layers.draw(RANK_TOKENS_PER_DIMENSION * states_KND.shape[2])
    group_N = torch.full_like(layers.group_N, -1)
    group_N[drawn] = layers.group_N[drawn]
    for layer, hidden_ND in enumerate(states_KND):
        moments_GEE = geometry.moments(hidden_ND, group_N, num_groups=layers.num_groups)
        interval = left_out_interval(geometry.effective_ranks(moments_GEE))
        yield "effective_rank", layer, interval.within(1.0, float(states_KND.shape[2]))


def likeness(layers: Layers) -> Iterator[Measured]:
    """The likeness of each pair of layers, on a draw of the sample's tokens."""
    drawn = layers.draw(MOST_TOKENS)
    states_KND = layers.observed.states_KND[:, drawn]
    cka_XKK = linear_cka(states_KND, layers.group_N[drawn], num_groups=layers.num_groups)
    for layer in range(len(states_KND)):
        for other in range(layer):
            interval = left_out_interval(cka_XKK[:, layer, other]).within(*_COSINE)
            yield from _likeness(layer, other, interval)


def _likeness(layer: int, other: int, interval: Interval) -> Iterator[Measured]:
    """Under both layers, so that the rows of a layer hold its whole line of the matrix."""
    yield cka_name(other), layer, interval
    yield cka_name(layer), other, interval
    if other == layer - 1:
        yield "cka_previous_layer", layer, interval


def cka_name(layer: int) -> str:
    """The measure's name for likeness with layer number `layer`."""
    return f"cka_with_layer_{layer}"


def updates(layers: Layers) -> Iterator[Measured]:
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

LAYER_MEASURES: Mapping[str, Callable[[Layers], Iterator[Measured]]] = {
    "anisotropy and self-similarity": similarities,
    "anisotropy without top dimensions": without_top_dimensions,
    "effective rank": effective_rank,
    "similarity of layers": likeness,
    "residual update": updates,
    "maximum explainable variance": explained,
    "intra-sentence similarity": within_sentences,
}
