import numpy as np
import torch

from model.batch import Batch, batch_from_sequences
from model.pooling import mean_pool


def packed(lengths: list[int], row_tokens: int | None) -> Batch:
    sequences = [np.full(length, 7) for length in lengths]
    return batch_from_sequences(sequences, row_tokens=row_tokens, cls_id=2, sep_id=3, pad_id=0)


def test_means_are_those_of_the_positions_of_each_sequence() -> None:
    batch = packed([3, 9, 1, 0, 5, 5], row_tokens=12)
    hidden_BLD = torch.randn(
        *batch.token_ids_BL.shape, 4, generator=torch.Generator().manual_seed(0)
    )
    vectors_SD = mean_pool(hidden_BLD, batch)
    assert vectors_SD.dtype == torch.float32
    for sequence_id in range(1, 7):
        own = hidden_BLD[batch.sequence_ids_BL == sequence_id]
        torch.testing.assert_close(vectors_SD[sequence_id - 1], own.mean(0))


def test_padding_never_counts() -> None:
    batch = packed([2, 6], row_tokens=None)
    hidden_BLD = torch.ones(*batch.token_ids_BL.shape, 3)
    hidden_BLD[batch.sequence_ids_BL == 0] = float("nan")
    assert torch.equal(mean_pool(hidden_BLD, batch), torch.ones(2, 3))


def test_half_precision_is_summed_in_float32() -> None:
    batch = packed([2998], row_tokens=None)
    hidden_BLD = torch.full((1, 3000, 1), 1.0078125, dtype=torch.bfloat16)
    assert mean_pool(hidden_BLD, batch).item() == 1.0078125


def test_every_position_gets_its_share_of_the_gradient() -> None:
    batch = packed([2, 0], row_tokens=4)
    hidden_BLD = torch.randn(2, 4, 3, requires_grad=True)
    mean_pool(hidden_BLD, batch).sum().backward()
    assert hidden_BLD.grad is not None
    expected = {1: 1 / 4, 2: 1 / 2, 0: 0.0}
    for sequence_id, share in expected.items():
        assert (hidden_BLD.grad[batch.sequence_ids_BL == sequence_id] == share).all()
