"""Contrastive tuning from a real corpus to a folder that sentence-transformers loads."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.errors import ArtifactError, CorpusError, RequestError
from model.huggingface import load_encoder
from tasks.embedder import Embedder, load_tokenizer
from tasks.stage import Metrics, StageContext
from tasks.store.artifact import Artifact
from tasks.tune.config import TuneConfig
from tasks.tune.stage import TUNE
from tasks.tune.token_kinds import token_kinds
from tests.tasks.chain import (
    Listener,
    encoder_chain,
    topic_documents,
)

SETTINGS = {
    "max_steps": 40,
    "num_checkpoints": 4,
    "bag_steps": 20,
    "patience": 4,
    "documents_per_batch": 16,
    "learning_rate": 1e-2,
    "embedding_learning_rate": 1e-2,
    "device": "cpu",
    "precision": "fp32",
}


def records(num_train: int, num_validation: int = 40) -> list[dict[str, Any]]:
    return [
        *topic_documents(num_train, split="train", seed=0, prefix="t"),
        *topic_documents(num_validation, split="validation", seed=1, prefix="v"),
        *topic_documents(2, split="test", seed=2, prefix="x"),
    ]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return encoder_chain(tmp_path_factory.mktemp("chain"), records(60))


def tune(
    inputs: Mapping[str, Artifact], output: Path, listener: Listener | None = None, **settings: Any
) -> Metrics:
    output.mkdir(exist_ok=True)
    config = TuneConfig.model_validate({**SETTINGS, **settings})
    return TUNE.run(StageContext(config, inputs, output, listener or Listener()))


@pytest.fixture(scope="module")
def tuned(
    inputs: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Metrics]:
    folder = tmp_path_factory.mktemp("tuned")
    return folder, tune(inputs, folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_training_raises_recall(tuned: tuple[Path, Metrics]) -> None:
    _, metrics = tuned
    assert metrics["validation_recall_at_1"] > metrics["initial_recall_at_1"] + 0.1
    assert metrics["documents_per_second"] > 0
    assert metrics["num_documents"] == 60


def test_training_starts_from_a_part_of_the_branches(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    """With rates of about nothing the weights stay, but for what layers add to their input."""
    slow = {
        "max_steps": 4,
        "bag_steps": 0,
        "token_vectors": "pretrained",
        "learning_rate": 1e-9,
        "embedding_learning_rate": 1e-9,
    }
    tune(inputs, tmp_path / "tuned", branch_scale=0.25, **slow)
    before = load_encoder(inputs["pretrain"].path).state_dict()
    for name, weights in load_encoder(tmp_path / "tuned").state_dict().items():
        factor = 0.25 if name.endswith(".Wo.weight") else 1.0
        torch.testing.assert_close(weights, factor * before[name], atol=1e-6, rtol=0)


def test_sentence_transformers_gives_our_vectors(tuned: tuple[Path, Metrics]) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    from sentence_transformers import SentenceTransformer

    folder, _ = tuned
    texts = ["a text", "[MASK] [SEP] is data", "naïve 文字 \U0001f600", "x" * 62, ""]
    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = Embedder.load(folder)
    assert theirs.max_seq_length == ours.about.max_window_tokens == 64
    vectors = theirs.encode(texts)
    assert vectors.shape == (5, 32)
    assert (vectors * ours.encode_texts(texts)).sum(axis=1).min() >= 0.9999
    without = ours.encode_texts([" [SEP] is data"])
    assert (without @ vectors[1]).item() < 0.99999  # the text [MASK] was not swallowed


def test_the_folder_says_what_it_is(tuned: tuple[Path, Metrics]) -> None:
    folder, metrics = tuned
    about = json.loads((folder / "embedder.json").read_text())
    assert about == {
        "pooling": "weighted_mean",
        "dim": 32,
        "matryoshka_dims": [32, 16, 8],
        "max_window_tokens": 64,
        "layer": 2,
    }
    training = json.loads((folder / "training.json").read_text())
    history = training["history"]
    assert [entry["step"] for entry in history] == [0, 10, 20, 30, 40]
    assert training["before"]["validation_recall_at_1"] == metrics["initial_recall_at_1"]
    assert history[0]["validation_recall_at_1"] == metrics["bag_recall_at_1"]
    (best,) = [entry for entry in history if entry["step"] == training["best_step"]]
    assert best["validation_mrr"] == max(entry["validation_mrr"] for entry in history)
    assert best["validation_mrr"] == metrics["validation_mrr"]


def test_checkpoints_are_embedders(tuned: tuple[Path, Metrics]) -> None:
    folder, _ = tuned
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == [f"step-{step:08d}" for step in (0, 10, 20, 30, 40)]
    best_step = json.loads((folder / "training.json").read_text())["best_step"]
    best = Embedder.load(folder / "checkpoints" / f"step-{best_step:08d}").encode_texts(["a text"])
    assert np.array_equal(best, Embedder.load(folder).encode_texts(["a text"]))
    for name in names:
        files = {path.name for path in (folder / "checkpoints" / name).iterdir()}
        assert {"optimizer.safetensors", "state.json", "checksums.json", "modules.json"} <= files


def test_same_request_same_bytes(
    tuned: tuple[Path, Metrics], inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    tune(inputs, tmp_path)
    assert contents(tmp_path) == contents(tuned[0])
    tune(inputs, tmp_path / "other", seed=1)
    assert (
        contents(tmp_path / "other")["model.safetensors"] != contents(tmp_path)["model.safetensors"]
    )


class Interrupted(Listener):
    """Stops the run in the middle of a step, as a signal would."""

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        super().metrics(values, step=step)
        if step == 25:
            raise KeyboardInterrupt


def test_an_interrupted_run_ends_as_if_it_had_not_been(
    tuned: tuple[Path, Metrics], inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(inputs, tmp_path, Interrupted())
    weights = tmp_path / "checkpoints" / "step-00000020" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    (tmp_path / "stranger.txt").write_text("of an earlier attempt")
    listener = Listener()
    tune(inputs, tmp_path, listener)
    assert contents(tmp_path) == contents(tuned[0])
    assert listener.warnings == ["checkpoint step-00000020 is damaged and was set aside"]
    assert min(step for step, values in listener.measured if "train_loss" in values) == 11


def test_the_best_embedder_is_kept_and_no_gain_ends_the_run(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    """A rate that tears the encoder apart leaves the bag it began with."""
    listener = Listener()
    torn = {"learning_rate": 0.5, "embedding_learning_rate": 0.5, "num_checkpoints": 20}
    metrics = tune(inputs, tmp_path, listener, **torn, patience=2)
    training = json.loads((tmp_path / "training.json").read_text())
    assert training["best_step"] == metrics["best_step"] == 0
    assert [entry["step"] for entry in training["history"]] == [0, 2, 4]
    assert any("embedder of step 0, the best" in text for text in listener.messages)
    bag = Embedder.load(tmp_path / "checkpoints" / "step-00000000").encode_texts(["a text"])
    assert np.array_equal(bag, Embedder.load(tmp_path).encode_texts(["a text"]))


class BreaksTheFirst(Listener):
    """Damages the checkpoint of step 0, on the way past step 3."""

    def __init__(self, output: Path) -> None:
        super().__init__()
        self.weights = output / "checkpoints" / "step-00000000" / "model.safetensors"

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        super().metrics(values, step=step)
        if step == 3:
            self.weights.write_bytes(self.weights.read_bytes()[:-1] + b"\0")


def test_a_best_checkpoint_that_was_damaged_is_not_replaced_by_another(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    torn = {"learning_rate": 0.5, "embedding_learning_rate": 0.5, "num_checkpoints": 20}
    listener = BreaksTheFirst(tmp_path)
    with pytest.raises(ArtifactError, match=r"step-00000000, where tune was best.*delete .*again"):
        tune(inputs, tmp_path, listener, **torn, patience=2)
    assert listener.warnings == ["checkpoint step-00000000 is damaged and was set aside"]


def test_words_start_alike_however_they_are_written(inputs: dict[str, Artifact]) -> None:
    tokenizer = load_tokenizer(inputs["pretrain"].path / "tokenizer.json")
    kinds = token_kinds(tokenizer, 300)
    assert kinds[tokenizer.token_to_id("a")] == kinds[tokenizer.token_to_id("A")]
    assert kinds[tokenizer.token_to_id("a")] != kinds[tokenizer.token_to_id("b")]
    assert set(kinds) == set(range(kinds.max() + 1))
    halves_of_characters = [tokenizer.token_to_id(name) for name in ("Ã", "Å")]
    assert len(set(kinds[halves_of_characters])) == 2


def test_short_documents_and_copies_are_left_out(tmp_path: Path) -> None:
    usual = records(12)
    short = {"id": "short", "text": "too short", "split": "train"}
    listener = Listener()
    metrics = tune(
        encoder_chain(tmp_path, [*usual, short]), tmp_path / "out", listener, max_steps=1
    )
    assert metrics["num_documents"] == 12
    assert "12 of 13 documents (1 too short" in listener.messages[0]
    assert any("documents_per_batch = 16 is more than the 12" in text for text in listener.warnings)


def test_too_few_documents_are_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"7 of 7 train documents.*span_min_tokens"):
        tune(encoder_chain(tmp_path, records(7)), tmp_path / "out")


def test_without_validation_documents_it_says_so(tmp_path: Path) -> None:
    listener = Listener()
    metrics = tune(encoder_chain(tmp_path, records(12, 1)), tmp_path / "out", listener, max_steps=1)
    assert "validation_recall_at_1" not in metrics
    assert any("cannot measure recall" in text for text in listener.warnings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"matryoshka_dims": [64, 32]}, "more than the 32 dimensions"),
        ({"max_window_tokens": 128}, "more than the 64 positions"),
        ({"span_min_tokens": 25, "max_window_tokens": 20}, "leaves no span"),
    ],
)
def test_what_the_encoder_does_not_have_is_refused(
    inputs: dict[str, Artifact], tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises((RequestError, CorpusError), match=message):
        tune(inputs, tmp_path, **settings)


def test_a_shorter_window_is_kept_everywhere(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    tune(inputs, tmp_path, max_steps=1, max_window_tokens=32)
    assert Embedder.load(tmp_path).about.max_window_tokens == 32
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == 32


@pytest.mark.parametrize(
    "settings",
    [
        {"max_steps": 0},
        {"num_checkpoints": 3},
        {"temperature": 0},
        {"span_min_tokens": 20, "span_max_tokens": 20},
        {"matryoshka_dims": []},
        {"matryoshka_dims": [8, 0]},
        {"max_stepz": 1},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        TuneConfig.model_validate(settings)


def test_the_device_is_no_part_of_the_identity() -> None:
    assert TuneConfig(device="cpu").identity() == TuneConfig(device="cuda:1").identity()
    assert TuneConfig(seed=1).identity() != TuneConfig().identity()
