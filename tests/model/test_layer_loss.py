"""The loss read off each layer, against models that really end there."""

from copy import deepcopy

import pytest
import torch

from model.initialization import scale_branches
from model.layer_loss import guess, guess_from_layers
from tests.model.gap_models import CONFIG, as_guessed, gapped, lively_model, own_losses

CLOSE = {"rtol": 1e-6, "atol": 1e-5}


def test_the_last_layer_has_the_models_own_loss() -> None:
    model, masked = lively_model(), gapped()
    found = guess_from_layers(model, masked)
    loss_S, right_S = own_losses(model, masked)
    torch.testing.assert_close(found.loss_SK[:, -1], loss_S, **CLOSE)
    assert torch.equal(found.right_SK[:, -1], right_S)
    assert found.num_gaps_S.tolist() == [len(one.positions_M) for one in masked]
    own = loss_S.sum() / found.num_gaps_S.sum()
    assert float(found.loss_SK[:, -1].sum() / found.num_gaps_S.sum()) == pytest.approx(
        float(own), abs=1e-6
    )


@pytest.mark.parametrize("num_kept", [0, 1, 3])
def test_a_lower_layer_has_the_loss_of_a_model_that_ends_there(num_kept: int) -> None:
    model, masked = lively_model(), gapped()
    cut = deepcopy(model)
    scale_branches(cut.model.layers[num_kept:], 0.0)
    assert not any(layer.mlp.Wo.weight.any() for layer in cut.model.layers[num_kept:])
    found = guess_from_layers(model, masked)
    torch.testing.assert_close(found.loss_SK[:, num_kept], own_losses(cut, masked)[0], **CLOSE)
    assert not torch.allclose(found.loss_SK[:, num_kept], found.loss_SK[:, -1], rtol=1e-2)


def test_losses_do_not_depend_on_the_company_a_sequence_keeps() -> None:
    model, masked = lively_model(), gapped()
    together = guess_from_layers(model, masked, tokens_per_batch=100_000)
    apart = guess_from_layers(model, masked, tokens_per_batch=1)
    torch.testing.assert_close(together.loss_SK, apart.loss_SK, **CLOSE)


def test_what_the_model_guesses_is_right_in_its_last_layer_alone() -> None:
    model = lively_model()
    found = guess_from_layers(model, as_guessed(model, gapped()))
    assert torch.equal(found.right_SK[:, -1], found.num_gaps_S.double())
    assert bool((found.right_SK[:, :-1].sum(0) < found.num_gaps_S.sum()).all())


def test_many_gaps_are_guessed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = lively_model()
    hidden_MD = torch.randn(10, CONFIG.hidden_size, generator=torch.Generator().manual_seed(0))
    targets_M = torch.arange(10) + 5
    whole = guess(model, hidden_MD, targets_M)
    monkeypatch.setattr("model.layer_loss.GAPS_AT_ONCE", 3)
    parts = guess(model, hidden_MD, targets_M)
    torch.testing.assert_close(whole, parts)
    assert guess(model, hidden_MD[:0], targets_M[:0])[0].shape == (0,)
