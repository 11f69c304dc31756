"""The structural probe: finds planted trees, not absent ones; scores equal plain loops."""

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.stats import spearmanr

from model.intervals import jackknife_interval, sum_by_group
from model.structural_probe import (
    StructuralProbe,
    TreeScores,
    fit_structural_probe,
    length_shares,
    score_chain,
    score_structural_probe,
)
from model.trees import tree_distances
from model.whitening import fit_whitening
from tests.model.planted_trees import Treebank, planted_trees


def uuas(scores: TreeScores) -> float:
    return float(scores.right_A.sum() / scores.edges_A.sum())


def fit(bank: Treebank, *, seed: int = 0, rank: int = 32, num_steps: int = 150) -> StructuralProbe:
    return fit_structural_probe(
        bank.states_ND, bank.head_N, bank.length_A, seed=seed, rank=rank, num_steps=num_steps
    )


def score(probe: StructuralProbe, bank: Treebank) -> TreeScores:
    return score_structural_probe(probe, bank.states_ND, bank.head_N, bank.length_A)


def correlation(scores: TreeScores) -> float:
    """The mean over lengths of the mean over sentences of that length."""
    counted_A = scores.correlation_A.isfinite()
    share_A = length_shares(scores.length_A[counted_A])
    return float((scores.correlation_A[counted_A] * share_A).sum() / share_A.sum())


def test_planted_trees_are_found_in_other_sentences() -> None:
    train, test = (planted_trees(600, width=96, seed=seed) for seed in (1, 2))
    scores = score(fit(train, rank=64, num_steps=300), test)
    chain = score_chain(test.head_N, test.length_A)
    assert uuas(scores) > 0.8 > 0.5 > uuas(chain)
    assert correlation(scores) > 0.8 > 0.5 > correlation(chain)


def test_states_without_trees_do_not_give_them() -> None:
    train, test = (planted_trees(300, width=40, seed=seed) for seed in (3, 4))
    generator = torch.Generator().manual_seed(0)
    blank = [
        Treebank(torch.randn(bank.states_ND.shape, generator=generator), bank.head_N, bank.length_A)
        for bank in (train, test)
    ]
    share = 2 / float(test.length_A.double().mean())  # of all pairs about this many are edges
    assert uuas(score(fit(blank[0]), blank[1])) < share + 0.1


def test_whitened_states_serve_as_well() -> None:
    train, test = (planted_trees(400, width=64, seed=seed) for seed in (5, 6))
    stretch = torch.linspace(0.05, 20, 64)
    whitening = fit_whitening(train.states_ND * stretch, floor=0.0)
    white = [
        Treebank(whitening.apply(bank.states_ND * stretch), bank.head_N, bank.length_A)
        for bank in (train, test)
    ]
    plain = uuas(score(fit(train, num_steps=300), test))
    assert uuas(score(fit(white[0], num_steps=300), white[1])) > plain - 0.05


def test_scores_equal_loops_with_punctuation_left_out() -> None:
    bank = planted_trees(30, width=10, seed=7, longest=9)
    is_kept = torch.rand(len(bank.head_N), generator=torch.Generator().manual_seed(1)) < 0.8
    probe = StructuralProbe(torch.randn(10, 3, generator=torch.Generator().manual_seed(2)))
    scores = score_structural_probe(
        probe, bank.states_ND, bank.head_N, bank.length_A, is_kept_N=is_kept
    )
    start = 0
    for index, size in enumerate(bank.length_A.tolist()):
        words = slice(start, start + size)
        mapped = (bank.states_ND[words] @ probe.map_DR).double().numpy()
        heads, kept = bank.head_N[words], is_kept[words].numpy()
        distance = ((mapped[:, None] - mapped[None]) ** 2).sum(-1)
        tree = tree_distances(heads[None], torch.ones(1, size, dtype=torch.bool))[0].numpy()
        places = np.flatnonzero(kept)
        spanning = minimum_spanning_tree(distance[np.ix_(places, places)]).tocoo()
        edges = {
            frozenset((places[i], places[j]))
            for i, j in zip(spanning.row, spanning.col, strict=True)
        }
        gold = {
            frozenset((word, int(head) - 1))
            for word, head in enumerate(heads)
            if head > 0 and kept[word] and kept[int(head) - 1]
        }
        assert scores.right_A[index] == len(edges & gold)
        assert scores.edges_A[index] == len(gold)
        if size >= 5:
            expected = np.mean(
                [spearmanr(*rows).statistic for rows in zip(distance, tree, strict=True)]
            )
            assert float(scores.correlation_A[index]) == pytest.approx(expected, abs=1e-6)
        else:
            assert bool(scores.correlation_A[index].isnan())
        start += size


def test_chain_joins_neighbours() -> None:
    head = torch.tensor([2, 0, 2, 3, 0, 1, 1])
    scores = score_chain(head, torch.tensor([4, 3]))
    assert scores.right_A.tolist() == [3, 1]
    assert scores.edges_A.tolist() == [3, 2]


def test_mean_is_over_lengths_first() -> None:
    scores = TreeScores(
        torch.zeros(4),
        torch.zeros(4),
        torch.tensor([0.2, 0.4, 0.9, torch.nan], dtype=torch.float64),
        torch.tensor([5, 5, 50, 51]),
    )
    assert correlation(scores) == pytest.approx(0.6)


def test_the_seed_alone_decides_and_short_sentences_do_no_harm() -> None:
    bank = planted_trees(40, width=12, seed=8)
    one, same, other = (fit(bank, seed=seed, num_steps=20) for seed in (0, 0, 1))
    assert torch.equal(one.map_DR, same.map_DR)
    assert not torch.equal(one.map_DR, other.map_DR)
    lone = Treebank(torch.eye(3), torch.zeros(3).long(), torch.ones(3).long())
    probe = fit(lone, num_steps=5)
    assert bool(probe.map_DR.isfinite().all())
    assert float(score(probe, lone).edges_A.sum()) == 0


def test_sums_by_document_make_intervals() -> None:
    bank = planted_trees(60, width=12, seed=9)
    scores = score_chain(bank.head_N, bank.length_A)
    group = torch.arange(60) // 6
    parts = [sum_by_group(side, group, 10) for side in (scores.right_A, scores.edges_A)]
    interval = jackknife_interval(torch.div, parts)
    assert float(interval.low) < uuas(scores) < float(interval.high)
