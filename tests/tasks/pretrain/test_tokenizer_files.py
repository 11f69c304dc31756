"""Beside an encoder, transformers cuts and frames text as the vocabulary says, of whatever kind."""

import json
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from model.bpe.tokenizer import tokenizer_json
from model.config import EncoderConfig
from model.errors import ArtifactError
from tasks.pretrain.tokenizer_files import TokenizerFiles
from tasks.token_bytes import token_bytes
from tasks.vocab.adopt import adopt_tokenizer
from tasks.vocab.library import train_library
from tests.tasks.vocab.library_texts import texts

KINDS = ["bpe", "unigram", "wordpiece", "words", "given"]
HOSTILE = ["[MASK] x[PAD]y [UNK] [CLS]\n", " lead", "tail  ", "[unused0]", "名 𝔘"]


@cache
def definition(kind: str) -> str:
    if kind == "bpe":
        return tokenizer_json([(68, 69), (70, 71)], pattern="gpt2")
    return train_library(kind, texts(), vocab_size=600, pad_to_multiple=64)


def write(kind: str, folder: Path) -> Path:
    path = folder / "given.json"
    if kind != "given":
        path.write_text(definition(kind), encoding="utf-8")
        return path
    content = json.loads(definition("unigram"))
    content["model"]["vocab"][0][0] = "<pad>"
    path.write_text(json.dumps(content), encoding="utf-8")
    path.write_text(adopt_tokenizer(path, pad_to_multiple=64), encoding="utf-8")
    return path


def config(path: Path) -> EncoderConfig:
    vocab_size = Tokenizer.from_file(str(path)).get_vocab_size()
    return EncoderConfig(
        vocab_size=vocab_size,
        hidden_size=16,
        num_layers=1,
        num_heads=2,
        intermediate_size=16,
        max_position_embeddings=4096,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_cuts_and_frames_as_we_do(kind: str, tmp_path: Path) -> None:
    path = write(kind, tmp_path)
    ours = Tokenizer.from_file(str(path))
    TokenizerFiles(path, config(path)).write(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for text in [*texts(), *HOSTILE]:
        assert theirs(text)["input_ids"] == [2, *ours.encode(text).ids, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_of_tokens_are_told(kind: str, tmp_path: Path) -> None:
    path = write(kind, tmp_path)
    sizes = TokenizerFiles(path, config(path)).token_bytes(2000)
    assert sizes == token_bytes(Tokenizer.from_file(str(path)), 2000)
    assert sizes[:5] == [0] * 5
    assert len(sizes) == 2000


def test_a_vocabulary_with_other_special_ids_is_refused(tmp_path: Path) -> None:
    path = write("words", tmp_path)
    settings = config(path)
    content = json.loads(path.read_text("utf-8"))
    del content["model"]["vocab"]["[MASK]"]
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"\[MASK\] has id None, not 4"):
        TokenizerFiles(path, settings)
