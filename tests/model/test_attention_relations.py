"""Attention between words and along relations, against loops and planted heads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.attention_relations import (
    best_for_relations,
    relation_sums,
    relations_right,
    word_attention,
)
from model.fixed_offsets import offsets, offsets_right
from model.intervals import jackknife_interval
from tests.model.test_trees import padded, random_heads


def token_attention(num_heads: int, num_tokens: int, seed: int, *, rows: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, num_heads, num_tokens, num_tokens, generator=generator)
    return scores.softmax(-1)


def test_word_attention_is_mean_from_and_sum_to() -> None:
    """[CLS] a b1 b2 c [SEP], where token b2 also begins word c."""
    attention = token_attention(2, 6, 0)
    parts = [[1], [2, 3], [3, 4]]
    is_part = torch.zeros(1, 4, 6, dtype=torch.bool)
    for word, tokens in enumerate(parts):
        is_part[0, word, tokens] = True
    found = word_attention(attention, is_part)
    for head, i, j in np.ndindex(2, 3, 3):
        expected = np.mean(
            [sum(float(attention[0, head, a, b]) for b in parts[j]) for a in parts[i]]
        )
        assert float(found[0, head, i, j]) == pytest.approx(expected, abs=1e-6)
    assert float(found[0, :, 3].abs().sum() + found[0, :, :, 3].abs().sum()) == 0


def test_rows_sum_to_what_does_not_go_to_special_tokens() -> None:
    attention = token_attention(3, 5, 1)
    is_part = torch.zeros(1, 3, 5, dtype=torch.bool)
    is_part[0, torch.arange(3), torch.arange(3) + 1] = True
    found = word_attention(attention, is_part)[0].sum(-1)
    torch.testing.assert_close(found, 1 - attention[0, :, 1:4, [0, 4]].sum(-1))


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 999))
def test_right_equals_a_loop(sizes: list[int], seed: int) -> None:
    rows = [random_heads(size, seed + index) for index, size in enumerate(sizes)]
    heads, is_word = padded(rows, max(sizes))
    attention = token_attention(2, max(sizes), seed, rows=len(sizes))
    to_head, to_dependent = relations_right(attention, heads, is_word)
    expected = []
    for index, row in enumerate(rows):
        for word, head in enumerate(row):
            for number in range(2):
                own = attention[index, number, : len(row), : len(row)].clone()
                own.fill_diagonal_(-1)
                looked_at = own.argmax(1).tolist()
                expected.append(
                    [
                        head > 0 and looked_at[word] == head - 1,
                        head > 0 and looked_at[head - 1] == word,
                    ]
                )
    shape = (sum(sizes), 2, 2)
    assert torch.equal(torch.stack([to_head, to_dependent], 2), torch.tensor(expected).view(shape))


def planted(num_sentences: int, seed: int) -> dict[str, Tensor]:
    """Head 1 looks at the word's head in relation 0, head 2 looks one to the left always."""
    random = np.random.default_rng(seed)
    rows = [random_heads(int(random.integers(3, 12)), seed * 100 + n) for n in range(num_sentences)]
    heads, is_word = padded(rows, 12)
    relations = torch.from_numpy(random.integers(0, 3, heads.shape))
    attention = token_attention(4, 12, seed, rows=num_sentences)
    sentence, word = ((heads > 0) & (relations == 0)).nonzero(as_tuple=True)
    attention[sentence, 1, word, heads[sentence, word] - 1] += 5
    attention[:, 2] += 5 * torch.eye(12).roll(-1, dims=1)
    to_head, to_dependent = relations_right(attention, heads, is_word)
    return {
        "to_head": to_head,
        "to_dependent": to_dependent,
        "head": heads[is_word],
        "relation": relations[is_word],
        "group": torch.arange(num_sentences)[:, None].expand_as(heads)[is_word] % 5,
        "length": is_word.sum(1),
    }


def sums_of(right: Tensor, bank: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    return relation_sums(
        right, bank["head"], bank["relation"], bank["group"], num_relations=4, num_groups=5
    )


def test_planted_heads_are_chosen_and_score_on_other_sentences() -> None:
    train, test = planted(200, 1), planted(200, 2)
    chosen = best_for_relations(sums_of(train["to_head"], train)[0].sum(0))
    assert int(chosen[0]) == 1
    shares = jackknife_interval(torch.div, sums_of(test["to_head"], test))
    assert float(shares.low[0, 1]) > 0.95
    assert float(shares.high[0, 0]) < 0.4
    assert bool(shares.value[3].isnan().all())
    offset_sums = sums_of(offsets_right(train["head"], train["length"]), train)[0].sum(0)
    best = best_for_relations(offset_sums)
    assert abs(int(offsets()[best[0]])) <= 3
    scored = jackknife_interval(
        torch.div, sums_of(offsets_right(test["head"], test["length"]), test)
    )
    assert float(scored.high[0, best[0]]) < float(shares.low[0, 1])


def test_a_head_that_looks_left_equals_the_offset_left() -> None:
    bank = planted(100, 3)
    at = offsets().tolist().index(-1)
    left = offsets_right(bank["head"], bank["length"])[:, at]
    not_first = bank["to_head"][:, 2] | ~left
    assert bool(not_first.all())
    assert (
        float((bank["to_head"][:, 2] != left).double().mean()) < 0.1
    )  # first words look elsewhere


def test_counts_leave_out_roots() -> None:
    bank = planted(50, 4)
    counts = sums_of(bank["to_dependent"], bank)[1]
    assert float(counts.sum()) == int((bank["head"] > 0).sum())
    assert counts.shape == (5, 4, 1)
