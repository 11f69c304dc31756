"""The layer that vectors are read off: named, or chosen by validation documents."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flows.config import load_config
from model.config import EncoderConfig
from model.errors import CorpusError, RequestError
from model.huggingface import load_encoder, save_encoder
from tasks.embedder import Embedder
from tasks.stage import StageContext
from tasks.store.artifact import Artifact
from tasks.tune.config import TuneConfig
from tasks.tune.layer_choice import fewest_layers
from tasks.tune.stage import TUNE
from tests.tasks.chain import (
    ENCODER,
    Listener,
    encoder_chain,
    sealed,
    topic_documents,
)

# Three layers of two kinds; a window of four tokens in the second.
ALTERNATING = EncoderConfig(
    vocab_size=320,
    hidden_size=32,
    num_layers=3,
    num_heads=2,
    intermediate_size=48,
    max_position_embeddings=64,
    local_attention=4,
    global_attn_every_n_layers=2,
)
# Layers stay as they are, so that what is planted in them stays too.
STILL: dict[str, Any] = {
    "max_steps": 4,
    "num_checkpoints": 4,
    "bag_steps": 10,
    "documents_per_batch": 16,
    "branch_scale": 1.0,
    "learning_rate": 1e-9,
    "embedding_learning_rate": 1e-9,
    "device": "cpu",
    "precision": "fp32",
}


class Told(Listener):
    """Keeps tables too."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, Any] = {}

    def table(self, name: str, rows: Any) -> None:
        self.tables[name] = rows


def chain(
    folder: Path, *, num_validation: int = 40, config: EncoderConfig = ENCODER
) -> dict[str, Artifact]:
    records = [
        *topic_documents(30, split="train", seed=0, prefix="t"),
        *topic_documents(num_validation, split="validation", seed=1, prefix="v"),
        *topic_documents(2, split="test", seed=2, prefix="x"),
    ]
    return encoder_chain(folder, records, config=config)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """An encoder of two layers, the upper of which drowns all states in one direction."""
    made = chain(tmp_path_factory.mktemp("chain"))
    folder = made["pretrain"].path
    encoder = load_encoder(folder)
    with torch.no_grad():
        encoder.layers[1].mlp.Wo.weight.copy_(torch.full((32, 1), 1e5) * torch.ones(1, 48))
        encoder.layers[1].mlp.Wo.weight[::2] *= -1
    save_encoder(encoder, folder)
    return made | {"pretrain": sealed(folder, "pretrain")}


def tune(inputs: dict[str, Artifact], output: Path, listener: Listener, **settings: Any) -> Any:
    output.mkdir(exist_ok=True)
    config = TuneConfig.model_validate(STILL | settings)
    return TUNE.run(StageContext(config, inputs, output, listener))


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def best(
    inputs: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float], Told]:
    folder, told = tmp_path_factory.mktemp("best"), Told()
    return folder, tune(inputs, folder, told, layer="best"), told


def test_best_finds_the_layer_below_one_that_destroys(
    best: tuple[Path, dict[str, float], Told],
) -> None:
    folder, metrics, told = best
    assert metrics["layer"] == Embedder.load(folder).about.layer == 1
    assert load_encoder(folder).config.num_layers == 1
    lower, upper = (metrics[f"validation_mrr_layer_{layer}"] for layer in (1, 2))
    assert lower > upper + 0.1
    assert metrics["validation_mrr"] == lower
    assert metrics["validation_recall_at_1"] == metrics["validation_recall_at_1_layer_1"]
    assert [row["layer"] for row in told.tables["layers"]] == [1, 2]
    assert any("off layer 1 of 2" in text for text in told.messages)


def test_the_last_layers_score_is_what_the_run_measured(
    best: tuple[Path, dict[str, float], Told],
) -> None:
    folder, metrics, _ = best
    training = json.loads((folder / "training.json").read_text("utf-8"))
    (entry,) = [each for each in training["history"] if each["step"] == training["best_step"]]
    assert entry["validation_mrr"] == metrics["validation_mrr_layer_2"]


def test_the_checkpoint_that_is_named_has_all_layers(
    best: tuple[Path, dict[str, float], Told],
) -> None:
    folder, _, _ = best
    said = json.loads((folder / "layers.json").read_text("utf-8"))
    assert said["layer"] == 1
    whole = load_encoder(folder / said["checkpoint"])
    kept = load_encoder(folder).state_dict()
    assert whole.config.num_layers == 2
    assert all(torch.equal(kept[name], whole.state_dict()[name]) for name in kept)


class Interrupted(Told):
    def metrics(self, values: Any, *, step: int | None = None) -> None:
        super().metrics(values, step=step)
        if step == 3:
            raise KeyboardInterrupt


def test_a_run_that_was_killed_chooses_the_same(
    best: tuple[Path, dict[str, float], Told], inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(inputs, tmp_path, Interrupted(), layer="best")
    tune(inputs, tmp_path, Told(), layer="best")
    assert files(tmp_path) == files(best[0])


@pytest.mark.parametrize("layer", [1, 2])
def test_a_cut_embedder_is_an_ordinary_folder(tmp_path: Path, layer: int) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer

    output = tmp_path / "tuned"
    metrics = tune(chain(tmp_path, config=ALTERNATING), output, Told(), layer=layer, max_steps=1)
    assert metrics["layer"] == layer
    assert not (output / "layers.json").exists()
    settings = json.loads((output / "config.json").read_text("utf-8"))
    assert settings["layer_types"] == ["full_attention", "sliding_attention"][:layer]
    ours = Embedder.load(output)
    assert (ours.about.layer, ours.encoder.config.num_layers) == (layer, layer)
    texts = ["a text", "a longer text, of more words than the window has room for"]
    theirs = SentenceTransformer(str(output), device="cpu").encode(texts)
    np.testing.assert_allclose(theirs, ours.encode_texts(texts), atol=1e-5)


def test_the_last_layer_by_its_number_is_the_default(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    tune(inputs, tmp_path / "last", Told(), max_steps=1)
    tune(inputs, tmp_path / "number", Told(), max_steps=1, layer=2)
    last, number = files(tmp_path / "last"), files(tmp_path / "number")
    assert {name for name in last | number if last.get(name) != number.get(name)} == {
        "training.json"  # says with what settings
    }
    assert "layer" not in json.loads(last["training.json"])["settings"]


def test_best_without_validation_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"tune\.layer = best cannot be chosen: 1 validation doc"):
        tune(chain(tmp_path, num_validation=1), tmp_path / "out", Told(), layer="best")


def test_a_layer_above_the_last_is_refused(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"tune\.layer = 3 is none of .* layers, 1 to 2"):
        tune(inputs, tmp_path, Told(), layer=3)
    with pytest.raises(RequestError, match=r"tune\.layer = 5 is none of .* layers, 1 to 4"):
        load_config("smoke", {"tune": {"layer": "5"}, "pretrain": {"size": "tiny"}})


@pytest.mark.parametrize("value", ["0", 0, -1, "first", 1.5, True, None])
def test_what_is_no_layer_is_refused_in_one_line(value: Any) -> None:
    with pytest.raises(RequestError, match=r"^tune\.layer: must be last, best or the number"):
        load_config("smoke", {"tune": {"layer": value}})


def test_the_default_is_no_part_of_the_identity() -> None:
    assert "layer" not in TuneConfig().identity()
    assert TuneConfig(layer="best").identity() == TuneConfig().identity() | {"layer": "best"}
    assert load_config("smoke", {"tune": {"layer": "2"}}).tune.layer == 2


def ranked(num: int, *hits: float) -> list[np.ndarray]:
    """For each layer, so great a share of the first documents found at once, others second."""
    return [np.where(np.arange(num) < share * num, 1.0, 0.5) for share in hits]


@pytest.mark.parametrize(
    ("reciprocals_K", "layer"),
    [
        (ranked(400, 0.5, 0.5, 0.5), 1),  # nothing gained by more layers
        (ranked(400, 0.2, 0.6, 0.6), 2),
        (ranked(400, 0.2, 0.6, 0.4), 2),
        (ranked(400, 0.2, 0.4, 0.6), 3),
        (ranked(2000, 0.598, 0.6), 2),  # seen beyond the interval, however small
        (ranked(40, 0.575, 0.6), 2),  # one document: not told apart, nor shown to be equal
        (ranked(29, 0.5, 0.5), 2),  # too few to show that the lower one is as good
    ],
)
def test_the_least_layer_that_is_shown_to_serve_as_well(
    reciprocals_K: list[np.ndarray], layer: int
) -> None:
    assert fewest_layers(reciprocals_K, seed=0) == layer
