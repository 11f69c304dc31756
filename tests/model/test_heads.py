"""Head measures against loops, and heads that were built to look at one place."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model.heads import HEAD_MEASURES, head_sums

# Two sequences in the first row, one and padding in the second; first and last are special.
SEQUENCE_IDS = torch.tensor([[1, 1, 1, 1, 2, 2, 2, 2, 2], [3, 3, 3, 3, 3, 3, 0, 0, 0]])
IS_REAL = torch.tensor([[0, 1, 1, 0, 0, 1, 1, 1, 0], [0, 1, 1, 1, 1, 0, 0, 0, 0]]).bool()


def random_attention(num_heads: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, num_heads, 9, 9, generator=generator)
    same = (SEQUENCE_IDS[:, :, None] == SEQUENCE_IDS[:, None, :])[:, None]
    return scores.masked_fill(~same, -torch.inf).softmax(-1)


def naive_sums(attention: Tensor) -> np.ndarray:
    sums = np.zeros((3, attention.shape[1], len(HEAD_MEASURES)))
    for row, head, i in np.ndindex(2, attention.shape[1], 9):
        if not IS_REAL[row, i]:
            continue
        weights = attention[row, head, i].double().numpy()
        keys = [j for j in range(9) if SEQUENCE_IDS[row, j] == SEQUENCE_IDS[row, i]]
        sums[SEQUENCE_IDS[row, i] - 1, head] += [
            -sum(weights[j] * math.log(weights[j]) for j in keys),
            sum(weights[j] * abs(i - j) for j in keys),
            weights[i],
            weights[i - 1],
            weights[i + 1],
            sum(weights[j] for j in keys if not IS_REAL[row, j]),
        ]
    return sums


def means(attention: Tensor) -> dict[str, Tensor]:
    sums = head_sums(attention, SEQUENCE_IDS, IS_REAL, num_sequences=3).sum(0) / IS_REAL.sum()
    return dict(zip(HEAD_MEASURES, sums.T, strict=True))


def test_sums_equal_loops() -> None:
    attention = random_attention()
    found = head_sums(attention, SEQUENCE_IDS, IS_REAL, num_sequences=3)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, naive_sums(attention), atol=1e-5)


@pytest.mark.parametrize(
    ("offset", "share", "distance"),
    [(0, "share_self", 0.0), (-1, "share_previous", 1.0), (1, "share_next", 1.0)],
)
def test_planted_head_is_found(offset: int, share: str, distance: float) -> None:
    attention = random_attention()
    attention[:, 1] = torch.eye(9).roll(offset, dims=1)
    found = means(attention)
    assert float(found[share][1]) == pytest.approx(1.0)
    assert float(found["distance"][1]) == pytest.approx(distance)
    assert float(found["entropy"][1]) == pytest.approx(0.0)
    assert float(found[share][[0, 2]].max()) < 0.7


def test_head_on_the_first_token_is_all_special() -> None:
    attention = random_attention()
    first = SEQUENCE_IDS[:, :, None] == SEQUENCE_IDS[:, None, :]
    first &= torch.nn.functional.pad(SEQUENCE_IDS, (1, 0))[:, None, :-1] != SEQUENCE_IDS[:, None, :]
    attention[:, 2] = first.float()
    assert float(means(attention)["share_special"][2]) == pytest.approx(1.0)


def test_uniform_head_has_the_entropy_of_its_length() -> None:
    same = SEQUENCE_IDS[:, :, None] == SEQUENCE_IDS[:, None, :]
    attention = (same / same.sum(-1, keepdim=True))[:, None]
    sums = head_sums(attention, SEQUENCE_IDS, IS_REAL, num_sequences=3)
    expected = [2 * math.log(4), 3 * math.log(5), 4 * math.log(6)]
    np.testing.assert_allclose(sums[:, 0, 0], expected, rtol=1e-6)


def test_what_special_tokens_and_padding_attend_to_does_not_matter() -> None:
    attention = random_attention()
    polluted = torch.where(IS_REAL[:, None, :, None], attention, 9.0)
    found = head_sums(polluted, SEQUENCE_IDS, IS_REAL, num_sequences=3)
    expected = head_sums(attention, SEQUENCE_IDS, IS_REAL, num_sequences=3)
    assert torch.equal(found, expected)
