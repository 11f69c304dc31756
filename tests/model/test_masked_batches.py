import numpy as np
import pytest
import torch

from model.masked_batches import MaskedBatch, batches_ahead
from model.mlm import IGNORED
from model.order import rows_of_step
from tests.model.training_runs import CONFIG, ROW_TOKENS, MadeUpRows, training_rows


def text(batch: MaskedBatch) -> list[list[int]]:
    """The rows with the masks taken off."""
    token_ids_N = batch.batch.token_ids_BL.flatten().clone()
    token_ids_N[batch.positions_M] = batch.targets_M
    return token_ids_N.view(-1, ROW_TOKENS).tolist()


def test_an_update_learns_from_the_rows_of_its_step() -> None:
    [batch] = training_rows().batches(7)
    for row, (_, number) in zip(text(batch), rows_of_step(7, 8, 40, seed=0), strict=True):
        first, second = (piece.tolist() for piece in MadeUpRows().row(number))
        expected = [2, *first, 3, 2, *second, 3]
        assert row == expected + [0] * (ROW_TOKENS - len(expected))


@pytest.mark.parametrize("micro_rows", [1, 3, 8])
def test_micro_batches_hold_the_same_rows_and_masks(micro_rows: int) -> None:
    [whole] = training_rows().batches(3)
    parts = training_rows(micro_rows=micro_rows).batches(3)
    token_ids_BL = torch.cat([part.batch.token_ids_BL for part in parts])
    assert torch.equal(token_ids_BL, whole.batch.token_ids_BL)
    assert torch.equal(torch.cat([part.targets_M for part in parts]), whole.targets_M)
    assert sum(part.num_tokens for part in parts) == whole.num_tokens
    assert sum(part.num_targets for part in parts) == whole.num_targets


def test_an_epoch_masks_the_same_row_differently_each_time() -> None:
    rows = training_rows(rows_per_step=40, micro_rows=40)
    first, second = ({tuple(r): i for i, r in enumerate(text(rows.batches(e)[0]))} for e in (0, 1))
    assert first.keys() == second.keys()
    seen = [rows.batches(epoch)[0].batch.token_ids_BL for epoch in (0, 1)]
    differing = [
        not torch.equal(seen[0][place], seen[1][second[row]]) for row, place in first.items()
    ]
    assert np.mean(differing) > 0.95


def test_fixed_shapes_fill_up_with_what_is_ignored() -> None:
    [plain] = training_rows().batches(0)
    [fixed] = training_rows(fixed_shapes=True).batches(0)
    num_targets = plain.num_targets
    assert fixed.num_targets == num_targets < len(fixed.targets_M)
    assert torch.equal(fixed.targets_M[:num_targets], plain.targets_M)
    assert fixed.targets_M[num_targets:].eq(IGNORED).all()
    [other] = training_rows(fixed_shapes=True).batches(1)
    assert len(other.targets_M) == len(fixed.targets_M)


def test_special_tokens_are_never_targets() -> None:
    for batch in training_rows(rows_per_step=40, micro_rows=40).batches(0):
        assert not np.isin(batch.targets_M.numpy(), CONFIG.special_ids).any()


def test_batches_made_ahead_come_in_order() -> None:
    rows = training_rows()
    with batches_ahead(rows, 5) as following:
        for step in (5, 6, 7):
            [batch] = following()
            assert torch.equal(batch.targets_M, rows.batches(step)[0].targets_M)


def test_a_failure_ahead_is_raised_where_the_batch_is_asked_for() -> None:
    class Broken(MadeUpRows):
        def row(self, row: int) -> list[np.ndarray]:
            raise OSError("the disk is gone")

    with batches_ahead(training_rows(rows=Broken()), 0) as following, pytest.raises(OSError):
        following()
