"""Models of the user's: from disk only, refused in time, and never silently cut."""

import json
import re
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.errors import ArtifactError, RequestError
from tasks.evaluate.sentence_transformer_folders import (
    SentenceTransformerSystem,
    named_folders,
    num_cut_texts,
)
from tests.tasks.evaluate.listening import Listening

CPU = torch.device("cpu")
WORDS = "ship sail anchor oven butter flour".split()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT that reads eight tokens, with another prompt for queries."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    made = tmp_path_factory.mktemp("models")
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=8
    )
    wrapped.save_pretrained(made / "encoder")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), intermediate_size=16, max_position_embeddings=16, **sizes
    )
    BertModel(config).save_pretrained(made / "encoder")
    modules = [Transformer(str(made / "encoder")), Pooling(16, "mean")]
    prompts = {"query": "oven ", "document": ""}
    model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts)
    model.save(str(made / "My-Model.v2"))
    return made / "My-Model.v2"


def load(folder: Path, report: Listening) -> SentenceTransformerSystem:
    return SentenceTransformerSystem.load("st_my", folder, device=CPU, report=report)


def test_names_can_stand_in_metrics(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = named_folders([f"{folder}/"])
    assert named == {"st_my_model_v2": folder}
    monkeypatch.chdir(folder)
    assert named_folders(["."]) == named


def test_folders_are_refused_before_anything_is_loaded(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="/nowhere is no folder"):
        named_folders(["/nowhere"])
    with pytest.raises(RequestError, match="holds no sentence-transformers model"):
        named_folders([str(folder.parent / "encoder")])
    (tmp_path / "my_model_V2").mkdir()
    shutil.copy(folder / "modules.json", tmp_path / "my_model_V2")
    both = [str(folder), str(tmp_path / "my_model_V2")]
    with pytest.raises(RequestError, match="both be named st_my_model_v2"):
        named_folders(both)


def test_it_is_read_without_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host, **_: asked.append(host))
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: asked.append(address))
    assert load(folder, Listening()).vectors(["ship"]).shape == (1, 16)
    assert asked == []


def test_what_cannot_be_loaded_is_refused_with_advice(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (weights,) = broken.rglob("model.safetensors")
    weights.unlink()
    with pytest.raises(RequestError, match=r"broken cannot be read .*save it again") as refused:
        load(broken, Listening())
    assert "\n" not in str(refused.value)


def test_pickled_weights_are_not_read(folder: Path, tmp_path: Path) -> None:
    pickled = tmp_path / "pickled"
    shutil.copytree(folder, pickled)
    (weights,) = pickled.rglob("model.safetensors")
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    with pytest.raises(RequestError, match="weights as safetensors"):
        load(pickled, Listening())


def test_pickles_that_are_not_the_models_are_no_hindrance(folder: Path, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    shutil.copytree(folder, trained)
    (trained / "checkpoint-500").mkdir()
    (trained / "checkpoint-500" / "pytorch_model.bin").write_bytes(b"never read")
    (weights,) = trained.rglob("model.safetensors")
    shard = "model-00001-of-00001.safetensors"
    weights.rename(weights.with_name(shard))
    names = dict.fromkeys(load_file(weights.with_name(shard)), shard)
    index = {"metadata": {}, "weight_map": names}
    weights.with_name("model.safetensors.index.json").write_text(json.dumps(index))
    weights.with_name("pytorch_model.bin").write_bytes(b"never read")
    theirs, ours = (load(each, Listening()).vectors(["ship"]) for each in (trained, folder))
    np.testing.assert_array_equal(theirs, ours)


@pytest.mark.parametrize("config", ["router_config.json", "config.json"])
def test_pickled_weights_of_a_routers_parts_are_not_read(config: str, tmp_path: Path) -> None:
    part = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}
    (tmp_path / "modules.json").write_text(json.dumps([part]))
    (tmp_path / config).write_text(json.dumps({"types": {".": "x", "query_0_Part": "x"}}))
    (tmp_path / "query_0_Part").mkdir()
    (tmp_path / "query_0_Part" / "pytorch_model.bin").write_bytes(b"never read")
    with pytest.raises(RequestError, match=r"query_0_Part/pytorch_model\.bin is a pickle"):
        load(tmp_path, Listening())


def test_code_that_the_folder_brings_or_names_is_not_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign, installed = tmp_path / "foreign", tmp_path / "installed"
    shutil.copytree(folder, foreign)
    installed.mkdir()
    monkeypatch.syspath_prepend(str(installed))
    for place in (foreign, installed):
        (place / "lurking.py").write_text("raise SystemExit('run')\n", "utf-8")
    parts = json.loads((foreign / "modules.json").read_text())
    (foreign / "modules.json").write_text(
        json.dumps([*parts[:1], {**parts[1], "type": "lurking.Part"}])
    )
    with pytest.raises(RequestError, match="cannot be read"):
        load(foreign, Listening())


def test_queries_get_the_models_own_prompt(folder: Path) -> None:
    system = load(folder, Listening())
    asked, found = system.query_vectors(["ship"]), system.vectors(["oven ship", "ship"])
    assert (asked.dtype, found.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert asked[0] @ found[0] == pytest.approx(1, abs=1e-5)
    assert asked[0] @ found[1] < 0.999


def test_texts_that_are_cut_are_counted_and_told_once(folder: Path) -> None:
    report = Listening()
    system = load(folder, report)
    system.vectors([" ".join(["ship"] * 8)])
    assert report.warnings == []
    texts = [" ".join(["ship"] * length) for length in (3, 9, 20)]
    system.vectors(texts)
    system.query_vectors(texts)
    assert report.warnings == [
        "st_my reads the first 8 tokens of a text: of 2 of 3 texts it does not see the end"
    ]
    assert report.counted == [(1, 1), (3, 3), (3, 3)]


def test_a_model_that_reads_all_cuts_none() -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "ship": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)], device="cpu")
    assert num_cut_texts(model, ["ship " * 10_000]) == 0


def test_vectors_that_are_not_finite_are_an_error(folder: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(folder, damaged)
    (weights,) = damaged.rglob("model.safetensors")
    tensors = {
        name: torch.full_like(value, torch.nan) for name, value in load_file(weights).items()
    }
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match="st_my gives vectors that are not finite"):
        load(damaged, Listening()).vectors(["ship"])


def test_the_folder_is_theirs(folder: Path) -> None:
    kinds = [part["type"] for part in json.loads((folder / "modules.json").read_text())]
    assert all(re.match(r"sentence_transformers\.", kind) for kind in kinds)
