"""An encoder cut after a layer is that layer's states under the final norm."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.config import EncoderConfig
from model.embedding import embed_layers, embed_windows, plan_windows
from model.encoder import Encoder
from model.huggingface import load_encoder, save_encoder
from tests.model.encoders import lively_encoder, random_batch

# Full and sliding-window layers alternate, and the window is narrower than a row.
CONFIG = EncoderConfig(
    vocab_size=60,
    hidden_size=32,
    num_layers=4,
    num_heads=2,
    intermediate_size=48,
    local_attention=4,
    global_attn_every_n_layers=3,
)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return lively_encoder(CONFIG).eval()


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_it_gives_what_the_layer_computes_under_the_final_norm(
    encoder: Encoder, layer: int
) -> None:
    batch = random_batch(CONFIG)
    cut = encoder.cut(layer)
    assert cut.config == replace(CONFIG, num_layers=layer)
    with torch.inference_mode():
        seen = [each.hidden_BLD for each in encoder.observe(batch)][layer]
        expected = seen if layer == 4 else encoder.final_norm(seen)
        assert torch.equal(cut(batch), expected)
    assert not cut.training


def test_it_shares_the_weights_and_the_whole_one_stays(encoder: Encoder) -> None:
    cut = encoder.cut(2)
    own = dict(encoder.named_parameters())
    assert all(value is own[name] for name, value in cut.named_parameters())
    assert len(encoder.layers) == encoder.config.num_layers == 4


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_pooled_layers_under_the_norm_are_those_of_cut_encoders(
    encoder: Encoder, layer: int
) -> None:
    generator = np.random.default_rng(0)
    documents = [generator.integers(5, 60, size=size) for size in (3, 70, 12)]
    windows = plan_windows(list(map(len, documents)), 34)
    weights_V = torch.rand(60, generator=torch.Generator().manual_seed(1))
    (found,) = embed_layers(
        encoder,
        documents,
        windows,
        layers=[layer],
        tokens_per_batch=100,
        normed=True,
        weights_V=weights_V,
    )
    expected = embed_windows(
        encoder.cut(layer), documents, windows, tokens_per_batch=100, weights_V=weights_V
    )
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_saved_and_read_it_keeps_its_kinds_of_layers(
    encoder: Encoder, layer: int, tmp_path
) -> None:
    save_encoder(encoder.cut(layer), tmp_path)
    read = load_encoder(tmp_path).eval()
    with torch.inference_mode():
        batch = random_batch(CONFIG)
        assert torch.equal(read(batch), encoder.cut(layer)(batch))


@pytest.mark.parametrize("layer", [0, 5, -1])
def test_a_layer_that_there_is_not_is_refused(encoder: Encoder, layer: int) -> None:
    with pytest.raises(ValueError, match="none of this encoder's layers 1 to 4"):
        encoder.cut(layer)
