"""An encoder can be trained on every kind of vocabulary that the stage makes."""

import math
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.stage import PRETRAIN
from tasks.stage import StageContext
from tasks.store.artifact import Artifact
from tasks.vocab.config import VocabConfig
from tasks.vocab.stage import VOCAB
from tests.corpora import topic_documents
from tests.tasks.chain import Listener, ingested, sealed, tokenized
from tests.tasks.pretrain.runs import QUICK

KINDS: dict[str, dict[str, Any]] = {
    "bytes": {},
    "characters": {"symbols": "characters"},
    "unigram": {"algorithm": "unigram"},
    "wordpiece": {"algorithm": "wordpiece"},
    "words": {"algorithm": "words"},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    splits = ["train"] * 8 + ["validation", "test"]
    documents = [
        {**document, "split": splits[number % 10]}
        for number, document in enumerate(topic_documents(120))
    ]
    return ingested(tmp_path_factory.mktemp("kinds") / "ingest", documents)


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_is_trained_and_loads(corpus: Artifact, kind: str, tmp_path: Path) -> None:
    config = VocabConfig(vocab_size=320, peer_bytes=2**13, **KINDS[kind])
    folder = tmp_path / "vocab"
    folder.mkdir()
    VOCAB.run(StageContext(config, {"ingest": corpus}, folder, Listener()))
    vocab = sealed(folder, "vocab")
    inputs = {"vocab": vocab, "tokenize": tokenized(tmp_path / "tokens", corpus, vocab)}
    (tmp_path / "encoder").mkdir()
    settings = PretrainConfig(**{**QUICK, "max_steps": 8})
    metrics = PRETRAIN.run(StageContext(settings, inputs, tmp_path / "encoder", Listener()))
    assert math.isfinite(metrics["validation_bits_per_byte"])
    loaded = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    assert loaded("a word or two")["input_ids"][0] == 2  # [CLS]
