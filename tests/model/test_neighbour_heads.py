import pytest
import torch
from torch import Tensor

from model.batch import batch_from_sequences
from model.config import EncoderConfig
from model.initialization import initialize, predict_frequencies
from model.mlm import MaskedLanguageModel
from model.neighbour_heads import look_at_neighbours
from tests.model.encoders import IDS

CONFIG = EncoderConfig(
    vocab_size=512,
    hidden_size=128,
    num_layers=3,
    num_heads=4,
    intermediate_size=192,
    local_attention=32,
    global_attn_every_n_layers=3,
)
LENGTH = 64


def fresh(seed: int = 0, config: EncoderConfig = CONFIG) -> MaskedLanguageModel:
    model = MaskedLanguageModel(config)
    initialize(model, config, seed)
    look_at_neighbours(model, config)
    return model


@torch.no_grad()
def attention(model: MaskedLanguageModel) -> list[Tensor]:
    """Of each layer ``attention_HLL`` on a random text."""
    ids = torch.randint(5, 512, (LENGTH - 2,), generator=torch.Generator().manual_seed(1)).numpy()
    batch = batch_from_sequences([ids], row_tokens=None, **IDS)
    seen = (layer.attention_BHLL for layer in model.model.observe(batch, attention=True))
    return [layer_BHLL[0] for layer_BHLL in seen if layer_BHLL is not None]


def by_offset(attention_LL: Tensor) -> dict[int, float]:
    """Mean attention paid to each offset, over the places that have all of them."""
    middle = torch.arange(16, LENGTH - 16)
    return {k: float(attention_LL[middle, middle + k].mean()) for k in range(-16, 17)}


def test_each_head_looks_at_its_place_in_every_layer() -> None:
    for layer_HLL in attention(fresh()):
        for head_LL, offset in zip(layer_HLL, (1, -1, 2, -2), strict=True):
            shares = by_offset(head_LL)
            assert max(shares, key=shares.__getitem__) == offset
            assert shares[offset] > 8 / LENGTH
            assert shares[16] + shares[-16] < 0.25 * shares[offset]


def test_plain_fresh_heads_look_nowhere() -> None:
    plain = MaskedLanguageModel(CONFIG)
    initialize(plain, CONFIG, 0)
    shares = by_offset(attention(plain)[0][0])
    assert max(shares.values()) < 2 / LENGTH


def test_one_wide_head_looks_at_the_next_token() -> None:
    config = EncoderConfig(**{**vars(CONFIG), "num_heads": 1})
    shares = by_offset(attention(fresh(config=config))[0][0])
    assert max(shares, key=shares.__getitem__) == 1


def test_only_the_table_queries_and_keys_differ_from_plain_weights() -> None:
    plain = MaskedLanguageModel(CONFIG)
    initialize(plain, CONFIG, 0)
    changed = {
        name
        for name, value in fresh().named_parameters()
        if not torch.equal(value, dict(plain.named_parameters())[name])
    }
    layers = {f"model.layers.{k}.attn.Wqkv.weight" for k in range(3)}
    table = {"model.embeddings.tok_embeddings.weight"}
    assert changed == layers | table | {"model.final_norm.weight"}
    values = fresh().model.layers[0].attn.Wqkv.weight[2 * CONFIG.hidden_size :]
    assert torch.equal(values, plain.model.layers[0].attn.Wqkv.weight[2 * CONFIG.hidden_size :])


@torch.no_grad()
def test_hidden_states_have_nothing_in_common() -> None:
    ids = torch.randint(5, 512, (LENGTH - 2,), generator=torch.Generator().manual_seed(1)).numpy()
    batch = batch_from_sequences([ids], row_tokens=None, **IDS)
    hidden_LD = torch.nn.functional.normalize(fresh().model(batch)[0], dim=-1)
    assert (hidden_LD @ hidden_LD.T).mean() < 0.2


def test_the_bias_says_how_often_tokens_are() -> None:
    model = fresh()
    counts_V = torch.arange(512)
    predict_frequencies(model, counts_V)
    shares_V = model.decoder.bias.detach().exp()
    assert float(shares_V.sum()) == pytest.approx(1.0, rel=1e-5)
    assert float(shares_V[511] / shares_V[0]) == pytest.approx(512.0, rel=1e-4)
