"""Tree distances, spanning trees and rank correlation against SciPy and plain walks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from model.trees import rank_correlation, ranks, spanning_edges, tree_distances


def random_heads(num_words: int, seed: int) -> list[int]:
    """A tree of words in random order: each word's head, 0 for the root."""
    random = np.random.default_rng(seed)
    order = random.permutation(num_words) + 1
    heads = [0] * num_words
    for index in range(1, num_words):
        heads[order[index] - 1] = int(order[random.integers(index)])
    return heads


def padded(rows: list[list[int]], width: int) -> tuple[Tensor, Tensor]:
    heads = torch.full((len(rows), width), -9)
    is_word = torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        heads[index, : len(row)] = torch.tensor(row)
        is_word[index, : len(row)] = True
    return heads, is_word


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 25), min_size=1, max_size=6), seed=st.integers(0, 999))
def test_distances_equal_shortest_paths(sizes: list[int], seed: int) -> None:
    rows = [random_heads(size, seed + index) for index, size in enumerate(sizes)]
    heads, is_word = padded(rows, max(sizes) + 2)
    found = tree_distances(heads, is_word)
    for index, row in enumerate(rows):
        size = len(row)
        graph = np.zeros((size, size))
        for word, head in enumerate(row):
            if head:
                graph[word, head - 1] = 1
        expected = shortest_path(graph, directed=False)
        np.testing.assert_array_equal(found[index, :size, :size], expected)
        assert float(found[index].sum()) == expected.sum()


def test_several_roots_are_joined_above() -> None:
    heads, is_word = padded([[0, 1, 0]], 3)
    assert tree_distances(heads, is_word)[0].tolist() == [[0, 1, 2], [1, 0, 3], [2, 3, 0]]


def test_a_cycle_is_refused() -> None:
    heads, is_word = padded([[2, 3, 2, 0]], 4)
    with pytest.raises(AssertionError, match="no cycles"):
        tree_distances(heads, is_word)


@settings(max_examples=40, deadline=None)
@given(
    num_words=st.integers(1, 12),
    seed=st.integers(0, 999),
    share_kept=st.floats(0, 1),
    has_ties=st.booleans(),
)
def test_spanning_trees_are_least(
    num_words: int, seed: int, share_kept: float, has_ties: bool
) -> None:
    random = np.random.default_rng(seed)
    half = (
        random.integers(1, 4, (3, num_words, num_words))
        if has_ties
        else random.random((3, num_words, num_words))
    )
    distance = torch.from_numpy(half + half.transpose(0, 2, 1)).float()
    is_kept = torch.from_numpy(random.random((3, num_words)) < share_kept)
    edges = spanning_edges(distance, is_kept)
    assert torch.equal(edges, edges.mT)
    for index in range(3):
        kept = is_kept[index].nonzero()[:, 0]
        inner = edges[index][kept][:, kept]
        assert inner.sum() == edges[index].sum()
        assert int(inner.sum()) == 2 * max(0, len(kept) - 1)
        own = distance[index][kept][:, kept]
        least = minimum_spanning_tree(own.numpy()).sum() if len(kept) > 1 else 0.0
        assert float(own[inner].sum()) / 2 == pytest.approx(least, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.integers(-3, 3), min_size=2, max_size=20),
    seed=st.integers(0, 99),
    num_padding=st.integers(0, 4),
)
def test_rank_correlation_equals_scipy(values: list[int], seed: int, num_padding: int) -> None:
    other = np.random.default_rng(seed).integers(0, 5, len(values))
    pad = np.full(num_padding, 2)
    is_ranked = torch.arange(len(values) + num_padding) < len(values)
    first, second = (torch.from_numpy(np.r_[side, pad]).float() for side in (values, other))
    found = ranks(first, is_ranked)
    np.testing.assert_array_equal(found[: len(values)], rankdata(values))
    assert float(found[len(values) :].sum()) == 0
    correlation = float(rank_correlation(first, second, is_ranked))
    if len(set(values)) == 1 or len(set(other)) == 1:
        assert np.isnan(correlation)
    else:
        assert correlation == pytest.approx(spearmanr(values, other).statistic, abs=1e-9)
