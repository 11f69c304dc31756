"""Removed heads: against weights zeroed by hand, exactly undone, and one that was needed."""

from copy import deepcopy

import pytest
import torch

from model.encoder import AttentionPath, Encoder
from model.errors import RequestError
from model.head_ablation import ablate_heads, without_head
from model.layer_loss import guess_from_layers
from model.mlm import MaskedLanguageModel
from tests.model.encoders import lively_encoder, random_batch
from tests.model.gap_models import CONFIG, as_guessed, gapped, lively_model, own_losses

PLACES = [(1, 0), (2, 2), (4, 1)]
CLOSE = {"rtol": 1e-6, "atol": 1e-5}


@torch.no_grad()
def zero_by_hand(encoder: Encoder, layer: int, head: int) -> None:
    size = CONFIG.head_size
    encoder.layers[layer - 1].attn.Wo.weight[:, head * size : (head + 1) * size] = 0


@torch.no_grad()
def keep_one_head(model: MaskedLanguageModel, layer: int, head: int) -> None:
    """All heads but one gather nothing; that one has its say."""
    for number in range(1, CONFIG.num_layers + 1):
        for other in range(CONFIG.num_heads):
            if (number, other) != (layer, head):
                zero_by_hand(model.model, number, other)
    model.model.layers[layer - 1].attn.Wo.weight.mul_(5)


@pytest.mark.parametrize("path", ["rows", "stream", "blocks"])
@pytest.mark.parametrize(("layer", "head"), PLACES)
def test_equals_zeroed_weights_on_every_path(path: AttentionPath, layer: int, head: int) -> None:
    encoder, batch = lively_encoder(CONFIG, attention=path), random_batch(CONFIG)
    zeroed = deepcopy(encoder)
    zero_by_hand(zeroed, layer, head)
    positions_M = torch.tensor([1, 5, 44])
    with torch.no_grad():
        before = encoder(batch)
        with without_head(encoder, layer, head):
            assert torch.equal(encoder(batch), zeroed(batch))
            assert torch.equal(encoder(batch, positions_M), zeroed(batch, positions_M))
        assert not torch.allclose(before, zeroed(batch), atol=1e-2)
        assert torch.equal(encoder(batch), before)


def test_an_error_inside_leaves_the_encoder_as_it_was() -> None:
    encoder, batch = lively_encoder(CONFIG), random_batch(CONFIG)
    weights = {name: value.clone() for name, value in encoder.state_dict().items()}
    before = encoder(batch)
    with pytest.raises(KeyError, match="inside"), without_head(encoder, 1, 0):
        raise KeyError("inside")
    assert torch.equal(encoder(batch), before)
    assert encoder.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in encoder.state_dict().items())


def test_two_heads_can_be_removed_at_once() -> None:
    encoder, batch = lively_encoder(CONFIG), random_batch(CONFIG)
    zeroed = deepcopy(encoder)
    zero_by_hand(zeroed, 1, 0)
    zero_by_hand(zeroed, 1, 2)
    with without_head(encoder, 1, 0), without_head(encoder, 1, 2):
        assert torch.equal(encoder(batch), zeroed(batch))


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (5, 0), (1, 3), (1, -1)])
def test_a_head_that_is_not_there_is_named(layer: int, head: int) -> None:
    with (
        pytest.raises(RequestError, match=f"no head {head} in layer {layer}"),
        without_head(lively_encoder(CONFIG), layer, head),
    ):
        pass


def test_losses_are_those_of_zeroed_models() -> None:
    model, masked = lively_model(), gapped()
    found = ablate_heads(model, masked, tokens_per_batch=60)
    torch.testing.assert_close(found.whole_S, own_losses(model, masked)[0], **CLOSE)
    for layer, head in PLACES:
        zeroed = deepcopy(model)
        zero_by_hand(zeroed.model, layer, head)
        wanted_S = own_losses(zeroed, masked)[0]
        torch.testing.assert_close(found.without_SKH[:, layer - 1, head], wanted_S, **CLOSE)
    last = guess_from_layers(model, masked)
    torch.testing.assert_close(found.whole_S, last.loss_SK[:, -1], **CLOSE)
    assert found.num_gaps_S.tolist() == last.num_gaps_S.tolist()
    assert found.num_layer_passes == 3 * 10 + 4


def test_layers_are_computed_as_often_as_is_said() -> None:
    model, calls, done = lively_model(), [0], []
    for layer in model.model.layers:
        layer.register_forward_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))
    found = ablate_heads(model, gapped(), tokens_per_batch=10_000, on_batch=done.append)
    assert calls[0] == found.num_layer_passes
    assert done == [12]


def test_a_head_that_is_needed_is_found() -> None:
    model = lively_model()
    keep_one_head(model, 2, 1)
    found = ablate_heads(model, as_guessed(model, gapped(20)))
    worse_KH = found.without_SKH.sum(0) - found.whole_S.sum()
    assert worse_KH[1, 1] / found.num_gaps_S.sum() > 0.1
    worse_KH[1, 1] = 0
    assert worse_KH.abs().max() < 1e-4
