"""Likeness within sentences and explained variance, against loops and singular values."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.intervals import jackknife, jackknife_interval, sum_by_group
from model.word_geometry import (
    draw_occurrences,
    draw_random_tokens,
    explained_share,
    explained_shares,
    intra_sentence_similarity,
    occurrence_products,
    presence,
)


def states(num_tokens: int, width: int, *, seed: int, offset: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_tokens, width, generator=generator) + offset


@settings(max_examples=30, deadline=None)
@given(
    num_tokens=st.integers(1, 40),
    num_sentences=st.integers(1, 8),
    offset=st.floats(-5, 5),
    seed=st.integers(0, 999),
)
def test_similarity_equals_a_loop(
    num_tokens: int, num_sentences: int, offset: float, seed: int
) -> None:
    hidden = states(num_tokens, 6, seed=seed, offset=offset)
    sentence = torch.arange(num_tokens) % num_sentences
    found = intra_sentence_similarity(hidden, sentence, num_sentences=num_sentences)
    assert found.dtype == torch.float64
    for index in range(num_sentences):
        own = hidden[sentence == index].double().numpy()
        if len(own) < 2:
            assert math.isnan(found[index])
            continue
        mean = own.mean(0)
        cosines = own @ mean / np.linalg.norm(own, axis=1) / np.linalg.norm(mean)
        assert float(found[index]) == pytest.approx(cosines.mean(), abs=1e-6)


def test_alike_tokens_are_alike() -> None:
    hidden = states(4, 20, seed=1).repeat_interleave(5, dim=0)
    sentence = torch.arange(4).repeat_interleave(5)
    found = intra_sentence_similarity(hidden, sentence, num_sentences=4)
    torch.testing.assert_close(found, torch.ones(4, dtype=torch.float64))
    mixed = intra_sentence_similarity(hidden, torch.arange(20) % 4, num_sentences=4)
    assert float(mixed.max()) < 0.9


@settings(max_examples=40, deadline=None)
@given(
    types=st.lists(st.integers(0, 8), min_size=0, max_size=120),
    least=st.integers(2, 8),
    most=st.integers(8, 12),
    most_types=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_drawn_occurrences_are_of_one_type_each(
    types: list[int], least: int, most: int, most_types: int, seed: int
) -> None:
    types_N = torch.tensor(types, dtype=torch.int64)
    places = draw_occurrences(types_N, seed=seed, least=least, most=most, most_types=most_types)
    counts = torch.bincount(types_N, minlength=9)
    assert places.shape == (min(most_types, int((counts >= least).sum())), most)
    drawn = set()
    for row in places:
        own = row[row >= 0]
        (kind,) = types_N[own].unique().tolist()
        assert len(own.unique()) == len(own) == min(most, int(counts[kind]))
        drawn.add(kind)
    assert len(drawn) == len(places)
    random = draw_random_tokens(places, num_tokens=len(types), seed=seed)
    assert torch.equal(random >= 0, places >= 0)
    for row in random:
        assert len(row[row >= 0].unique()) == int((row >= 0).sum())


def share_of(hidden: Tensor, places: Tensor) -> float:
    return float(explained_share(occurrence_products(hidden, places), (places >= 0).double()))


def test_share_equals_singular_values() -> None:
    hidden, types = states(300, 12, seed=2, offset=0.4), torch.arange(300) % 17
    places = draw_occurrences(types, seed=0, most=10)
    expected = []
    for row in places:
        singular = np.linalg.svd(hidden[row[row >= 0]].double().numpy())[1]
        expected.append(singular[0] ** 2 / (singular**2).sum())
    assert share_of(hidden, places) == pytest.approx(np.mean(expected), abs=1e-6)


def test_types_with_one_vector_each_are_explained_and_random_sets_are_not() -> None:
    types = torch.arange(600) % 30
    hidden = states(30, 40, seed=3)[types] * torch.linspace(0.5, 2, 600)[:, None]
    places = draw_occurrences(types, seed=1)
    random = draw_random_tokens(places, num_tokens=600, seed=1)
    assert share_of(hidden, places) == pytest.approx(1.0)
    assert share_of(hidden, random) < 0.4
    noise = states(600, 40, seed=4)
    assert share_of(noise, places) == pytest.approx(share_of(noise, random), abs=0.01)


def test_leaving_out_a_group_leaves_out_its_occurrences() -> None:
    hidden, types = states(200, 8, seed=5, offset=0.5), torch.arange(200) % 9
    group = torch.arange(200) // 50
    places = draw_occurrences(types, seed=2, most=20)
    products, present = occurrence_products(hidden, places), presence(places, group, 4)
    without = explained_share(products, present.sum(0) - present[1])
    kept = torch.where((places >= 0) & (group[places.clamp_min(0)] != 1), places, -1)
    assert float(without) == pytest.approx(share_of(hidden, kept), abs=1e-9)
    interval = jackknife_interval(lambda x: explained_share(products, x), [present])
    assert float(interval.low) < share_of(hidden, places) < float(interval.high)


def test_shares_without_each_group_are_nearly_those_of_the_rest() -> None:
    """Noise alone has the least gap between eigenvalues: the power method is slowest there."""
    types, group = torch.arange(900) % 30, torch.arange(900) // 30 % 10
    places = draw_occurrences(types, seed=3)
    present = presence(places, group, 10)
    for common in (0.0, 1.0):
        hidden = states(900, 20, seed=9) + common * states(30, 20, seed=10)[types]
        products = occurrence_products(hidden, places)
        found = explained_shares(products, present)
        value, variance = jackknife(partial(explained_share, products), [present])
        assert float(found[0]) == float(value)
        spread = (found[1:] - found[1:].mean()).square().sum() * 0.9
        assert float(spread.sqrt()) == pytest.approx(float(variance.sqrt()), rel=0.1)


def test_nothing_to_compare_is_nan() -> None:
    places = draw_occurrences(torch.arange(20), seed=0)
    assert len(places) == 0
    assert math.isnan(share_of(states(20, 4, seed=6), places))
    lone = intra_sentence_similarity(states(3, 4, seed=7), torch.arange(3), num_sentences=3)
    assert bool(lone.isnan().all())


def test_sentence_values_sum_by_document() -> None:
    hidden = states(90, 5, seed=8, offset=1.0)
    found = intra_sentence_similarity(hidden, torch.arange(90) // 6, num_sentences=15)
    group = torch.arange(15) % 5
    parts = [sum_by_group(side, group, 5) for side in (found, torch.ones(15))]
    interval = jackknife_interval(torch.div, parts)
    assert float(interval.value) == pytest.approx(float(found.mean()))
