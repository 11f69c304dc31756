"""The edge probe: finds planted heads, not absent ones; roots, padding and seeds."""

import pytest
import torch
from torch import Tensor

from model.edge_probe import EdgeProbe, fit_edge_probe, heads_found
from model.fixed_offsets import offsets_right
from model.intervals import jackknife_interval, sum_by_group
from tests.model.planted_trees import Treebank, planted_trees


def with_heads_planted(num_sentences: int, *, seed: int, width: int = 48) -> Treebank:
    """A word's state holds a random name of its own and that of its head; roots a common one."""
    bank = planted_trees(num_sentences, width=4, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    name_ND = torch.randn(len(bank.head_N), width // 2, generator=generator)
    start_A = bank.length_A.cumsum(0) - bank.length_A
    head_place_N = start_A.repeat_interleave(bank.length_A) + bank.head_N - 1
    of_head_ND = name_ND[head_place_N.clamp_min(0)]
    root_D = torch.randn(width // 2, generator=torch.Generator().manual_seed(77))
    of_head_ND = torch.where(bank.head_N[:, None] > 0, of_head_ND, root_D)
    noise_ND = torch.randn(of_head_ND.shape, generator=generator)
    states = torch.cat([name_ND, of_head_ND + 0.3 * noise_ND], dim=1)
    return Treebank(states, bank.head_N, bank.length_A)


def fit(bank: Treebank, *, seed: int = 0, num_steps: int = 200) -> EdgeProbe:
    return fit_edge_probe(
        bank.states_ND, bank.head_N, bank.length_A, seed=seed, num_steps=num_steps
    )


def without_trees(bank: Treebank, *, seed: int) -> Treebank:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(bank.states_ND.shape, generator=generator)
    return Treebank(states, bank.head_N, bank.length_A)


def share_found(probe: EdgeProbe, bank: Treebank) -> Tensor:
    return (heads_found(probe, bank.states_ND, bank.length_A) == bank.head_N).double().mean()


def test_planted_heads_and_roots_are_found_in_other_sentences() -> None:
    train, test = (with_heads_planted(800, seed=seed) for seed in (1, 2))
    probe = fit(train, num_steps=300)
    right = heads_found(probe, test.states_ND, test.length_A) == test.head_N
    assert float(right.double().mean()) > 0.9
    assert float(right[test.head_N == 0].double().mean()) > 0.9
    group = torch.arange(len(test.length_A)).repeat_interleave(test.length_A) % 10
    parts = [sum_by_group(side, group, 10) for side in (right, torch.ones_like(right))]
    interval = jackknife_interval(torch.div, parts)
    assert 0.9 < float(interval.low) < float(interval.high)
    best = offsets_right(test.head_N, test.length_A).double().mean(0).amax()
    assert float(best) < 0.4


def test_states_without_heads_give_no_more_than_guessing() -> None:
    train, test = (with_heads_planted(300, seed=seed) for seed in (3, 4))
    blank = [without_trees(bank, seed=seed) for seed, bank in enumerate((train, test))]
    guess = float((1 / test.length_A.repeat_interleave(test.length_A)).mean())
    assert float(share_found(fit(blank[0]), blank[1])) < guess + 0.08


def test_scores_are_the_formula_and_leave_out_self_and_padding() -> None:
    generator = torch.Generator().manual_seed(5)
    one, other = torch.randn(2, 5, 3, generator=generator)
    probe = EdgeProbe(one, other, torch.tensor([1.0, -1.0, 2.0]), torch.tensor(0.7))
    states = torch.randn(2, 3, 4, generator=generator)
    is_word = torch.tensor([[True, True, True], [True, True, False]])
    scores = probe.scores(states, is_word)
    h = torch.cat([states, torch.ones(2, 3, 1)], dim=2)
    for sentence, word, candidate in [(0, 0, 1), (0, 2, 1), (1, 1, 0)]:
        expected = (h[sentence, word] @ one) @ (h[sentence, candidate] @ other) / 3**0.5
        assert float(scores[sentence, word, candidate + 1]) == pytest.approx(
            float(expected), abs=1e-5
        )
    root = (h[1, 0] @ one) @ probe.root_R / 3**0.5 + 0.7
    assert float(scores[1, 0, 0]) == pytest.approx(float(root), abs=1e-5)
    is_barred = torch.cat([torch.zeros(3, 1).bool(), torch.eye(3).bool()], dim=1)
    assert torch.equal(scores[0] == -torch.inf, is_barred)
    assert bool((scores[1, :2, 3] == -torch.inf).all())


def test_lone_words_have_the_root() -> None:
    bank = Treebank(torch.eye(4), torch.zeros(4).long(), torch.ones(4).long())
    assert float(share_found(fit(bank, num_steps=3), bank)) == 1.0


def test_the_seed_alone_decides() -> None:
    bank = with_heads_planted(40, seed=6)
    one, same, other = (fit(bank, seed=seed, num_steps=15) for seed in (0, 0, 1))
    assert torch.equal(one.head_ER, same.head_ER)
    assert torch.equal(one.root_R, same.root_R)
    assert not torch.equal(one.head_ER, other.head_ER)
    assert not one.head_ER.requires_grad
