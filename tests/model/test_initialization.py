"""Where weights begin: drawn from a seed, or taken from a model whose tokens have other ids."""

import math
from dataclasses import replace

import pytest
import torch

from model.config import EncoderConfig
from model.initialization import continue_from, initialize
from model.mlm import MaskedLanguageModel
from tests.model.encoders import stir

CONFIG = EncoderConfig(
    vocab_size=64, hidden_size=32, num_layers=2, num_heads=2, intermediate_size=48
)
FREE = replace(CONFIG, tie_embeddings=False)
TABLE = "model.embeddings.tok_embeddings.weight"


def fresh(config: EncoderConfig, seed: int = 0) -> MaskedLanguageModel:
    model = MaskedLanguageModel(config)
    initialize(model, config, seed)
    return model


def lively(config: EncoderConfig) -> MaskedLanguageModel:
    model = fresh(config)
    stir(model)
    return model


@pytest.mark.parametrize("config", [CONFIG, FREE], ids=["tied", "free"])
def test_every_weight_comes_from_the_seed(config: EncoderConfig) -> None:
    one, same, other = (fresh(config, seed).state_dict() for seed in (1, 1, 2))
    for name, value in one.items():
        assert torch.equal(value, same[name])
        assert torch.equal(value, other[name]) == (value.ndim == 1)


def test_a_decoder_of_its_own_is_drawn_as_transformers_draws_it() -> None:
    weights = fresh(replace(FREE, vocab_size=4096)).decoder.weight.detach()
    # The standard deviation of a normal cut at two of its own is 0.88 of it.
    assert weights.std().item() == pytest.approx(0.88 * 0.02 / math.sqrt(4), rel=0.02)


def test_a_free_decoder_changes_no_other_weight() -> None:
    tied, free = fresh(CONFIG).state_dict(), fresh(FREE).state_dict()
    assert tied.keys() == free.keys()
    assert all(torch.equal(tied[name], free[name]) for name in tied if name != "decoder.weight")
    assert not torch.equal(free["decoder.weight"], free[TABLE])


@pytest.mark.parametrize("config", [CONFIG, FREE], ids=["tied", "free"])
def test_rows_move_with_their_tokens(config: EncoderConfig) -> None:
    given = lively(config).state_dict()
    order_V = torch.randperm(64, generator=torch.Generator().manual_seed(3))
    model = MaskedLanguageModel(config)
    continue_from(model, lively(config), order_V, seed=0)
    for name, value in model.state_dict().items():
        moves = name in (TABLE, "decoder.weight", "decoder.bias")
        assert torch.equal(value, given[name][order_V] if moves else given[name])


def test_new_tokens_begin_about_the_mean() -> None:
    given = lively(CONFIG)
    ids_V = torch.tensor([*range(64), *[-1] * 64])
    model = MaskedLanguageModel(replace(CONFIG, vocab_size=128))
    continue_from(model, given, ids_V, seed=0)
    table_VD = model.state_dict()[TABLE]
    mean_D = given.state_dict()[TABLE].mean(dim=0)
    assert torch.equal(table_VD[:64], given.state_dict()[TABLE])
    assert (table_VD[64:] - mean_D).abs().max() <= 2 * CONFIG.initializer_range + 1e-6
    assert len(table_VD[64:].unique(dim=0)) == 64
    biases_V = model.decoder.bias[64:]
    torch.testing.assert_close(biases_V, given.decoder.bias.mean().expand(64))
    again, other = (MaskedLanguageModel(model.config) for _ in range(2))
    continue_from(again, given, ids_V, seed=0)
    continue_from(other, given, ids_V, seed=1)
    assert torch.equal(again.decoder.weight, model.decoder.weight)
    assert not torch.equal(other.decoder.weight[64:], model.decoder.weight[64:])
