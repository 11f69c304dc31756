"""The embedder's layers, from the pass that gives its own vectors."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.config import EncoderConfig
from model.encoder import Encoder
from model.errors import ArtifactError
from model.huggingface import save_encoder
from tasks.embedder import Embedder, EmbedderSummary
from tasks.evaluate.encoders import encoder_systems
from tasks.evaluate.layers import LayeredEmbedder
from tasks.evaluate.vectors import NamedPair, ranked_pairs_of
from tasks.tuned_layers import TunedLayers
from tests.model.encoders import lively_encoder
from tests.tasks.evaluate.folders import ARCHITECTURE, write_embedder
from tests.tasks.evaluate.listening import Listening

CONFIG = EncoderConfig(
    vocab_size=ARCHITECTURE.vocab_size,
    hidden_size=32,
    num_layers=3,
    num_heads=2,
    intermediate_size=48,
    local_attention=4,
    global_attn_every_n_layers=2,
)
FIRST = ["a ship in the harbour", "butter and flour", "", "ship " * 40]
SECOND = ["the harbour", "flour", "of nothing", "ship and butter"]


@pytest.fixture(scope="module")
def whole() -> Encoder:
    return lively_encoder(CONFIG).eval()


def tuned(folder: Path, whole: Encoder, layer: int) -> Path:
    """An embedder cut after a layer, as tune leaves it."""
    write_embedder(folder)
    checkpoint = folder / "checkpoints" / "step-00000004"
    checkpoint.mkdir(parents=True)
    save_encoder(whole, checkpoint)
    save_encoder(whole.cut(layer), folder)
    about = EmbedderSummary.read(folder)
    EmbedderSummary(**{**vars(about), "layer": layer}).write(folder)
    TunedLayers(
        layer=layer,
        checkpoint="checkpoints/step-00000004",
        validation_recall_at_1=[0.5, 0.75, 0.5],
        validation_mrr=[0.625, 0.875, 0.75],
    ).write(folder)
    return folder


def embedder_of(folder: Path) -> LayeredEmbedder:
    cpu = torch.device("cpu")
    system = next(encoder_systems(folder, folder, seed=0, device=cpu, report=Listening()))
    assert isinstance(system, LayeredEmbedder)
    return system


def assert_same(pair: NamedPair, other: NamedPair) -> None:
    assert np.array_equal(pair.queries, other.queries)
    assert np.array_equal(pair.candidates, other.candidates)


def test_one_pass_gives_the_embedders_own_pairs_bit_for_bit_and_every_other_layer(
    whole: Encoder, tmp_path: Path
) -> None:
    system = embedder_of(tuned(tmp_path / "tune", whole, 2))
    pairs = list(system.pairs_by_layer(FIRST, SECOND))
    own, layers = pairs[:3], pairs[3:]
    assert [pair.system for pair in layers] == ["layer_0", "layer_1", "layer_3"]
    for pair, expected in zip(own, ranked_pairs_of(system, FIRST, SECOND), strict=True):
        assert pair.system == expected.system
        assert_same(pair, expected)
    for pair in layers[1:]:
        number = int(pair.system.removeprefix("layer_"))
        cut = Embedder(
            whole.cut(number),
            system.embedder.tokenizer,
            system.embedder.about,
            system.embedder.weights_V,
        )
        expected = NamedPair(pair.system, cut.encode_texts(FIRST), cut.encode_texts(SECOND))
        assert_same(pair, expected)


def test_where_tune_dropped_nothing_the_embedder_is_the_last_layer(tmp_path: Path) -> None:
    pairs = list(embedder_of(write_embedder(tmp_path / "tune")).pairs_by_layer(FIRST, SECOND))
    assert [pair.system for pair in pairs] == [
        "corpusmith",
        "corpusmith_dim_16",
        "corpusmith_dim_8",
        "layer_0",
    ]


def test_a_checkpoint_that_is_gone_is_not_passed_over(whole: Encoder, tmp_path: Path) -> None:
    folder = tuned(tmp_path / "tune", whole, 1)
    (folder / "checkpoints" / "step-00000004" / "config.json").unlink()
    with pytest.raises(ArtifactError, match=r"config\.json is missing"):
        embedder_of(folder)
    (folder / "layers.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"layers\.json cannot be read .*run tune again"):
        embedder_of(folder)
