"""Encoders of other people: read as transformers reads them, looked into, refused by name."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertModel

from flows.cli import main
from model.batch import Batch, batch_from_sequences
from model.errors import RequestError
from tasks.probe.foreign import ForeignEncoder, check_encoder, read_encoder
from tasks.probe.observe import mean_states
from tasks.probe.stage import PROBE
from tasks.probe.treebank.conllu import Sentence
from tasks.probe.treebank.word_tokens import align
from tasks.probe.vocabulary import read_vocabulary
from tasks.store.artifact import Artifact
from tasks.token_text import TokenText
from tests.tasks.chain import Listener
from tests.tasks.pretrain.foreign import OTHER_NAMES, foreign_folder
from tests.tasks.probe.foreign_folders import (
    CONFIG,
    bert_folder,
    context,
    headless_folder,
    small_corpus,
)
from tests.tasks.probe.treebank.treebanks import documents

TEXT = "The judge of the onion was in a voyage. Evidence with salt."
KINDS = ("bert", "modern", "headless")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("foreign")
    return {
        "bert": bert_folder(root / "bert"),
        "modern": foreign_folder(root / "modern", OTHER_NAMES, max_shard_size="50KB"),
        "headless": headless_folder(root / "headless"),
    }


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return small_corpus(tmp_path_factory.mktemp("given") / "ingest")


def read(folder: Path) -> ForeignEncoder:
    return read_encoder(CONFIG.model_copy(update={"encoder": folder}))


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_layers_heads_and_tokens_are_those_of_transformers(
    folders: dict[str, Path], kind: str
) -> None:
    found = read(folders[kind])
    theirs = AutoModel.from_pretrained(
        folders[kind], attn_implementation="eager", dtype=torch.float32
    ).eval()
    encoded = AutoTokenizer.from_pretrained(folders[kind])(TEXT, return_tensors="pt")
    said = theirs(input_ids=encoded["input_ids"], output_hidden_states=True, output_attentions=True)
    ids = found.tokenizer.encode(TEXT, add_special_tokens=False).ids
    special = found.encoder.config
    assert encoded["input_ids"][0].tolist() == [special.cls_id, *ids, special.sep_id]
    batch = batch_from_sequences(
        [np.array(ids)[:9], np.array(ids)],
        row_tokens=None,
        cls_id=special.cls_id,
        sep_id=special.sep_id,
        pad_id=special.pad_id,
    )
    row_BL = batch.sequence_ids_BL == 2
    [row] = row_BL.any(1).nonzero().flatten().tolist()
    own_L = row_BL[row]
    ours = list(found.encoder.observe(batch, attention=True))
    assert len(ours) == len(said.hidden_states)
    for seen, hidden_1LD in zip(ours, said.hidden_states, strict=True):
        assert torch.allclose(seen.hidden_BLD[row, own_L], hidden_1LD[0], atol=1e-5)
    for seen, attention_1HLL in zip(ours[1:], said.attentions, strict=True):
        assert seen.attention_BHLL is not None
        block_HLL = seen.attention_BHLL[row][:, own_L][:, :, own_L]
        assert torch.allclose(block_HLL, attention_1HLL[0], atol=1e-5)


def run(
    folder: Path, corpus: Artifact, output: Path, **changes: Any
) -> tuple[dict[str, float], Listener]:
    listener = Listener()
    return PROBE.run(context(folder, corpus, output, listener, **changes)), listener


def measures(folder: Path, table: str) -> set[str]:
    return set(pq.read_table(folder / table)["measure"].to_pylist())


@pytest.mark.parametrize("kind", ["bert", "modern"])
@torch.inference_mode()
def test_the_head_is_that_of_transformers(folders: dict[str, Path], kind: str) -> None:
    found = read(folders[kind])
    assert found.model is not None
    theirs = AutoModelForMaskedLM.from_pretrained(folders[kind]).eval()
    ids = AutoTokenizer.from_pretrained(folders[kind])(TEXT, return_tensors="pt")["input_ids"]
    batch = Batch(ids, torch.ones_like(ids), torch.arange(ids.shape[1])[None], 1)
    ours_LV = found.model(batch, torch.arange(ids.shape[1]))
    assert torch.allclose(ours_LV, theirs(input_ids=ids).logits[0], atol=1e-4)
    shown = found.encoder.config.mask_id
    assert found.tokenizer.id_to_token(shown) in ("[MASK]", "<mask>")


def test_a_bert_is_measured_whole(
    folders: dict[str, Path], given: Artifact, tmp_path: Path
) -> None:
    metrics, listener = run(folders["bert"], given, tmp_path)
    assert all(math.isfinite(value) for value in metrics.values())
    for name in (*PROBE.tracked_files, *PROBE.quoting_files):
        needs_more = name in ("checkpoints.parquet", "comparison.parquet")
        assert (tmp_path / name).exists() != needs_more
    assert measures(tmp_path, "layers.parquet") > {
        "masked_loss",
        "random_anisotropy",
        "word2vec_anisotropy",
        "intra_sentence_similarity_adjusted",
        "bigram_shift_accuracy",
        "sentence_order_accuracy",
        "document_label_accuracy",
    }
    assert metrics["document_label_accuracy"] > metrics["majority_document_label_accuracy"]
    assert "ablation_loss" in measures(tmp_path, "heads.parquet")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Looked into: a BERT from a folder" in page
    assert "(60 of 60 of train, 30 of 30 of validation, 30 of 30 of test" in page
    assert "the encoder was trained on these" not in page
    assert "Every head, over sentences" in page
    assert "One sentence through one head" not in page
    [told] = [text for text in listener.warnings if "probe.encoder" in text]
    assert "one sentence through one head" in told
    assert told.removeprefix("the encoder of probe.encoder: ") in page


def test_without_a_head_what_needs_it_is_left_out_and_said(
    folders: dict[str, Path], given: Artifact, tmp_path: Path
) -> None:
    metrics, listener = run(folders["headless"], given, tmp_path)
    assert "masked_loss_last_layer" not in metrics
    assert "bigram_shift_accuracy" in metrics
    assert "masked_loss" not in measures(tmp_path, "layers.parquet")
    assert "ablation_loss" not in measures(tmp_path, "heads.parquet")
    assert any("no head that guesses masked tokens" in text for text in listener.warnings)
    assert "no head that guesses masked tokens" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_vocabulary_knows_words_and_sentences(
    folders: dict[str, Path], kind: str
) -> None:
    found = read(folders[kind])
    vocabulary = read_vocabulary(found.tokenizer, found.encoder.config.vocab_size)
    ids = found.tokenizer.encode(TEXT, add_special_tokens=False).ids
    spelling = TokenText(found.tokenizer)
    ends = [spelling.spell([each]).strip() for each in ids if vocabulary.ends_sentence_V[each]]
    assert len(ends) == 2
    assert all(each.endswith(".") for each in ends)
    words = [spelling.spell([each]).strip() for each in ids if vocabulary.is_word_V[each]]
    assert {"the", "was"} <= set(words)
    assert spelling.spell(ids).casefold().split()[:5] == TEXT.casefold().split()[:5]
    for token_id in found.encoder.config.special_ids:
        assert not vocabulary.is_word_V[token_id]


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_a_treebank_find_their_tokens(folders: dict[str, Path], kind: str) -> None:
    found = read(folders[kind])
    matches = list(re.finditer(r"\w+|\.", TEXT))
    spans = tuple((match.start(), match.end()) for match in matches)
    none = ("_",) * len(spans)
    forms = tuple(match.group() for match in matches)
    sentence = Sentence(TEXT, spans, forms, none, none, (), none, "d", False, False)
    aligned = align(found.tokenizer, [sentence], max_tokens=40)
    [own] = aligned.sentences
    spelling = TokenText(found.tokenizer)
    for word, (start, end) in enumerate(spans):
        tokens = own.tokens_L[own.token_P[own.word_P == word]].tolist()
        spelled = spelling.spell(tokens).strip().casefold()
        assert TEXT[start:end].casefold() in spelled


def test_a_changed_folder_is_another_request(folders: dict[str, Path], tmp_path: Path) -> None:
    assert PROBE.sources is not None
    folder = tmp_path / "copy"
    shutil.copytree(folders["modern"], folder)
    config = CONFIG.model_copy(update={"encoder": folder})
    before = PROBE.sources(config)
    assert before == PROBE.sources(CONFIG.model_copy(update={"encoder": folders["modern"]}))
    shards = [name for name in before if name.endswith(".safetensors")]
    assert len(shards) > 1
    assert {"encoder/config.json", "encoder/tokenizer.json"} < before.keys()
    (folder / "README.md").write_text("of no concern")
    assert PROBE.sources(config) == before
    path = folder / shards[0].removeprefix("encoder/")
    save_file({name: value + 1 for name, value in load_file(path).items()}, path)
    after = PROBE.sources(config)
    assert {name for name in before if before[name] != after[name]} == {shards[0]}
    assert config.identity() == CONFIG.identity()


def test_a_treebank_stands_beside_the_folder(folders: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "a.conllu"
    path.write_text(documents(["a", "b", "c"]), "utf-8")
    assert PROBE.sources is not None
    config = CONFIG.model_copy(update={"encoder": folders["bert"], "conllu": (str(path),)})
    assert [name for name, _ in PROBE.sources(config)["conllu"]] == ["a.conllu"]


def setting(name: str, value: Any, file: str = "config.json") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def nameless(folder: Path) -> None:
    """No file says what frames a text."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    path = folder / "tokenizer.json"
    definition = json.loads(path.read_text()) | {"post_processor": None, "added_tokens": []}
    path.write_text(json.dumps(definition))


def not_finite(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["bert.embeddings.word_embeddings.weight"][5, 0] = math.nan
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (setting("model_type", "roberta"), "model_type = 'roberta', but only modernbert and bert"),
        (setting("hidden_act", "relu"), "hidden_act"),
        (setting("vocab_size", 20), "token of id"),
        (setting("max_position_embeddings", 20), "at most 18 tokens .*max_tokens_per_document"),
        (setting("num_attention_heads", 5), "does not divide"),
        (pickled, "pytorch_model.bin is a pickle.* writes safetensors"),
        (without("config.json"), "config.json does not say what model"),
        (without("tokenizer.json"), "has no tokenizer.json; save its tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "is not a tokenizer"),
        (without("model.safetensors"), "model.safetensors is missing"),
        (nameless, "name cls_token and sep_token"),
        (shutil.rmtree, "is no folder on this machine"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    folders: dict[str, Path], tmp_path: Path, spoil: Callable[[Path], Any], says: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(folders["bert"], folder)
    config = CONFIG.model_copy(update={"encoder": folder})
    check_encoder(config)
    spoil(folder)
    with pytest.raises(RequestError, match=says) as refused:
        check_encoder(config)
    assert str(refused.value).startswith("probe.encoder: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"), [("attention_bias", True), ("hidden_activation", "relu")]
)
def test_parts_of_a_modernbert_that_are_not_ours_are_named(
    folders: dict[str, Path], tmp_path: Path, name: str, value: Any
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(folders["modern"], folder)
    setting(name, value)(folder)
    with pytest.raises(RequestError, match=f"probe.encoder: .*{name} = {value!r}"):
        check_encoder(CONFIG.model_copy(update={"encoder": folder}))


def test_weights_that_are_not_finite_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(folders["bert"], folder)
    not_finite(folder)
    with pytest.raises(RequestError, match="not finite"):
        read(folder)


def test_a_bert_alone_is_read_without_a_head(tmp_path: Path) -> None:
    found = read(bert_folder(tmp_path / "bert", BertModel))
    assert found.model is None
    assert "no head that guesses masked tokens" in found.left_out[0]


def test_without_a_mask_token_the_head_is_of_no_use(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(folders["modern"], folder)
    setting("mask_token", None, "tokenizer_config.json")(folder)
    path = folder / "tokenizer.json"
    definition = json.loads(path.read_text())
    for token in definition["added_tokens"]:
        token["special"] &= token["content"] != OTHER_NAMES["mask"]
    path.write_text(json.dumps(definition))
    found = read(folder)
    assert found.model is None
    assert "names no mask token" in found.left_out[0]


def test_what_a_table_of_positions_has_no_place_for_is_cut_off(folders: dict[str, Path]) -> None:
    encoder = read(folders["bert"]).encoder
    long = np.arange(5, 105)
    whole_K2D = mean_states(encoder, [long, long[:38]])
    assert torch.allclose(whole_K2D[:, 0], whole_K2D[:, 1], atol=1e-5)
    modern = read(folders["modern"]).encoder
    assert not torch.allclose(*mean_states(modern, [long, long[:38]]).unbind(1), atol=1e-2)


def test_the_command_line_refuses_a_missing_folder_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flows.cli.signal.signal", lambda *_: None)  # pytest keeps its own
    monkeypatch.setenv("OMP_DYNAMIC", "FALSE")
    workspace, missing = tmp_path / "w", tmp_path / "missing"
    assert main(["probe", "--workspace", str(workspace), "--probe.encoder", str(missing)]) == 2
    assert capsys.readouterr().err == (
        f"corpusmith: probe.encoder: {missing} is no folder on this machine; give its path\n"
    )
    assert not workspace.exists()
