import numpy as np
import pytest
import torch

from model.batch import Batch, batch_from_sequences
from model.pooling import sum_pool


def packed(lengths: list[int], row_tokens: int | None) -> Batch:
    sequences = [np.arange(7, 7 + length) % 20 for length in lengths]
    return batch_from_sequences(sequences, row_tokens=row_tokens, cls_id=2, sep_id=3, pad_id=0)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_sums_are_those_of_the_positions_of_each_sequence(is_weighted: bool) -> None:
    batch = packed([3, 9, 1, 0, 5, 5], row_tokens=12)
    generator = torch.Generator().manual_seed(0)
    hidden_BLD = torch.randn(*batch.token_ids_BL.shape, 4, generator=generator)
    weights_V = torch.rand(20, generator=generator)
    sums_SD = sum_pool(hidden_BLD, batch, weights_V if is_weighted else None)
    assert sums_SD.dtype == torch.float32
    factors_BL = weights_V[batch.token_ids_BL] if is_weighted else torch.ones(1, 1)
    for sequence_id in range(1, 7):
        own = (hidden_BLD * factors_BL[..., None])[batch.sequence_ids_BL == sequence_id]
        torch.testing.assert_close(sums_SD[sequence_id - 1], own.sum(0))


def test_padding_never_counts() -> None:
    batch = packed([2, 6], row_tokens=None)
    hidden_BLD = torch.ones(*batch.token_ids_BL.shape, 3)
    hidden_BLD[batch.sequence_ids_BL == 0] = float("nan")
    expected = torch.tensor([[4.0] * 3, [8.0] * 3])
    assert torch.equal(sum_pool(hidden_BLD, batch), expected)
    assert torch.equal(sum_pool(hidden_BLD, batch, torch.ones(20)), expected)


def test_half_precision_is_summed_in_float32() -> None:
    batch = packed([2998], row_tokens=None)
    hidden_BLD = torch.full((1, 3000, 1), 1.0078125, dtype=torch.bfloat16)
    assert sum_pool(hidden_BLD, batch).item() == 3000 * 1.0078125


def test_every_position_gets_its_tokens_weight_of_the_gradient() -> None:
    batch = packed([2, 0], row_tokens=4)
    hidden_BLD = torch.randn(2, 4, 3, requires_grad=True)
    weights_V = torch.arange(20.0, requires_grad=True)
    sum_pool(hidden_BLD, batch, weights_V).sum().backward()
    assert hidden_BLD.grad is not None
    assert weights_V.grad is not None
    is_own_BL = batch.sequence_ids_BL > 0
    expected_BL = torch.where(is_own_BL, batch.token_ids_BL.float(), 0.0)
    assert torch.equal(hidden_BLD.grad, expected_BL[..., None].expand(2, 4, 3))
    assert weights_V.grad[7] == hidden_BLD[batch.token_ids_BL == 7].sum()
