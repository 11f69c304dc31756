"""The loss of each document by itself is the model's own."""

import torch

from model.document_loss import document_losses
from tests.model.gap_models import gapped, lively_model, own_losses

CLOSE = {"rtol": 1e-6, "atol": 1e-5}


def test_it_is_the_models_own_loss_whatever_stands_beside() -> None:
    model, masked = lively_model(), gapped()
    num_gaps_S = torch.tensor([len(one.positions_M) for one in masked])
    expected_S = own_losses(model, masked)[0] / num_gaps_S
    for tokens_per_batch in (1, 50, 100_000):
        found_S = document_losses(model, masked, tokens_per_batch=tokens_per_batch)
        torch.testing.assert_close(found_S, expected_S, **CLOSE)
