"""A small chain for the tests of its last stages: a real corpus and tokens, a fresh encoder."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from model.config import EncoderConfig
from model.encoder import Encoder
from model.huggingface import save_encoder
from model.initialization import initialize
from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.pretrain.tokenizer_files import TokenizerFiles
from tasks.stage import StageContext
from tasks.store.artifact import Artifact, artifact_from
from tasks.store.identity import Identity
from tasks.store.manifest import FileEntry, Manifest
from tasks.store.staging import SCRATCH
from tasks.tokenize.config import TokenizeConfig
from tasks.tokenize.stage import TOKENIZE

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ENCODER = EncoderConfig(
    vocab_size=320,
    hidden_size=32,
    num_layers=2,
    num_heads=2,
    intermediate_size=48,
    max_position_embeddings=64,
)


@dataclass
class Listener:
    """Keeps what a stage reports."""

    messages: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    measured: list[tuple[int | None, dict[str, float]]] = field(default_factory=list)
    seen: list[tuple[int, int, str]] = field(default_factory=list)
    examples: list[tuple[str, str]] = field(default_factory=list)

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None:
        self.measured.append((step, dict(values)))

    def progress(self, done: int, total: int, unit: str) -> None:
        assert 0 <= done <= total
        self.seen.append((done, total, unit))

    def table(self, name: str, rows: Any) -> None: ...

    def example(self, name: str, text: str) -> None:
        self.examples.append((name, text))

    def message(self, text: str) -> None:
        self.messages.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def sealed(folder: Path, stage: str) -> Artifact:
    """The folder as the committed artifact of a stage."""
    files = tuple(
        FileEntry(
            name=path.relative_to(folder).as_posix(),
            bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and SCRATCH not in path.relative_to(folder).parts
    )
    identity = Identity(stage=stage, version=1, settings={}, inputs={})
    return artifact_from(folder, Manifest(identity=identity, inputs={}, files=files))


def ingested(folder: Path, records: Iterable[Mapping[str, Any]], **settings: Any) -> Artifact:
    """A corpus of the records, which name their own splits."""
    source = folder.with_suffix(".jsonl")
    source.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    folder.mkdir()
    config = IngestConfig(paths=[str(source)], split_column="split", **settings)
    INGEST.run(StageContext(config, {}, folder, Listener()))
    return sealed(folder, "ingest")


def byte_vocab(folder: Path) -> Artifact:
    """A tokenizer whose tokens are bytes."""
    folder.mkdir()
    names = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    return sealed(folder, "vocab")


def tokenized(folder: Path, corpus: Artifact, vocab: Artifact) -> Artifact:
    folder.mkdir()
    inputs = {"ingest": corpus, "vocab": vocab}
    TOKENIZE.run(StageContext(TokenizeConfig(row_tokens=64), inputs, folder, Listener()))
    return sealed(folder, "tokenize")


def pretrained(
    folder: Path, vocab: Artifact, *, config: EncoderConfig = ENCODER, seed: int = 0
) -> Artifact:
    """A fresh encoder with the tokenizer's files as pretraining leaves them."""
    folder.mkdir()
    encoder = Encoder(config)
    initialize(encoder, config, seed)
    save_encoder(encoder, folder)
    TokenizerFiles(vocab.file("tokenizer.json"), config).write(folder)
    return sealed(folder, "pretrain")


def encoder_chain(
    folder: Path, records: Iterable[Mapping[str, Any]], *, config: EncoderConfig = ENCODER
) -> dict[str, Artifact]:
    """All that tune reads, of these records and a fresh encoder, by stage."""
    vocab = byte_vocab(folder / "vocab")
    corpus = ingested(folder / "corpus", records)
    return {
        "ingest": corpus,
        "vocab": vocab,
        "tokenize": tokenized(folder / "tokens", corpus, vocab),
        "pretrain": pretrained(folder / "encoder", vocab, config=config),
    }


def topic_documents(
    num_documents: int, *, split: str, seed: int, prefix: str
) -> list[dict[str, Any]]:
    """Documents of a few letters of their own between many common ones, which say nothing.

    Halves are matched by whoever learned which letters to ignore.
    """
    generator = np.random.default_rng(seed)
    common = list("etaoin")
    rare = [chr(code) for code in range(33, 127) if chr(code) not in common]
    documents = []
    for number in range(num_documents):
        own = generator.choice(rare, size=4)
        letters = np.where(
            generator.random(60) < 0.8, generator.choice(common, 60), generator.choice(own, 60)
        )
        documents.append({"id": f"{prefix}{number}", "text": "".join(letters), "split": split})
    return documents
