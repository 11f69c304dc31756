"""Small corpora and embedders for the tests of export, and how to read what it writes."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from model.huggingface import load_encoder, save_encoder
from tasks.embedder import EmbedderSummary
from tasks.export.config import ExportConfig
from tasks.export.stage import EXPORT
from tasks.stage import ShardMapper, StageContext, map_in_order
from tasks.store.artifact import Artifact, artifact_from
from tasks.store.identity import Identity
from tasks.store.manifest import Manifest
from tasks.token_weight_files import write_token_weights
from tests.model.encoders import stir
from tests.tasks.chain import Listener, byte_vocab, ingested, pretrained, sealed

WINDOW = 64
LONG = " ".join(f"word{number}" for number in range(40))

RECORDS: list[dict[str, Any]] = [
    {"id": "a", "text": "the first document", "split": "train", "year": 1990, "tag": "x"},
    {"id": "b", "text": LONG, "split": "validation", "year": 1991, "tag": None},
    {
        "id": "c",
        "text": "naïve 文字 [MASK] \U0001f600",
        "split": "test",
        "year": None,
        "tag": "z",
    },
    {"id": "d", "text": "another one", "split": "train", "year": 1993, "tag": "x"},
    {"id": "e", "text": "the last", "split": "train", "year": 1994, "tag": "x"},
    {"id": "a2", "text": "the first document", "split": "train", "year": 2024, "tag": "y"},
    {"id": "a3", "text": "the first document", "split": "train", "year": 2025, "tag": "y"},
]
ROW_IDS = ["a", "a2", "a3", "b", "c", "d", "e"]


def embedder_artifact(folder: Path, vocab: Artifact) -> Artifact:
    """An embedder with fresh weights, moved so that neighbours matter."""
    pretrained(folder, vocab)
    encoder = load_encoder(folder)
    stir(encoder)
    save_encoder(encoder, folder)
    summary = EmbedderSummary(
        pooling="weighted_mean",
        dim=32,
        matryoshka_dims=[32, 16, 8],
        max_window_tokens=WINDOW,
        layer=2,
    )
    summary.write(folder)
    vocab_size = encoder.config.vocab_size
    write_token_weights(
        folder, torch.linspace(0.2, 1.0, vocab_size), list(map(str, range(vocab_size)))
    )
    return sealed(folder, "tune")


def chain(folder: Path, records: list[dict[str, Any]], **settings: Any) -> dict[str, Artifact]:
    """What export reads: a corpus of the records, a tokenizer of bytes and an embedder."""
    vocab = byte_vocab(folder / "vocab")
    return {
        "ingest": ingested(folder / "corpus", records, **settings),
        "vocab": vocab,
        "tune": embedder_artifact(folder / "embedder", vocab),
    }


def made_up_records(num_documents: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Documents of 1 to 60 words, some of several windows, no two alike."""
    draw = np.random.default_rng(seed)
    words = np.array([f"word{number}" for number in range(5000)])
    return [
        {
            "id": f"{seed}-{number:03d}",
            "text": " ".join(draw.choice(words, size=draw.integers(1, 61))),
            "split": ("train", "train", "validation", "test")[number % 4],
            "year": 1900 + number,
        }
        for number in range(num_documents)
    ]


def export(
    inputs: Mapping[str, Artifact],
    output: Path,
    listener: Listener | None = None,
    *,
    map_shards: ShardMapper = map_in_order,
    newest: Callable[[Callable[[Artifact], bool]], Artifact | None] = lambda suits: None,
    **settings: Any,
) -> dict[str, float]:
    """Run the stage into a folder."""
    output.mkdir(exist_ok=True)
    config = ExportConfig(**{"device": "cpu"} | settings)
    context = StageContext(
        config, inputs, output, listener or Listener(), map_shards=map_shards, newest=newest
    )
    return EXPORT.run(context)


def committed(folder: Path, version: int = EXPORT.version) -> Artifact:
    """A finished export as the store hands it out."""
    artifact = sealed(folder, "export")
    identity = Identity(stage="export", version=version, settings={}, inputs={})
    return artifact_from(
        folder, Manifest(identity=identity, inputs={}, files=artifact.manifest.files)
    )


def read(folder: Path, kind: str = "part") -> pa.Table:
    """All files of a kind, in order."""
    paths = sorted(folder.glob(f"{kind}-*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in paths])


def vectors_of(table: pa.Table) -> np.ndarray:
    """The column of vectors as a matrix."""
    column = table["embedding"].combine_chunks()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(table), -1)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def damage(path: Path, column: str = "embedding") -> None:
    """Flip a bit in the middle of a column's first page."""
    group = pq.read_metadata(path).row_group(0)
    chunks = [group.column(index) for index in range(group.num_columns)]
    [chunk] = [each for each in chunks if each.path_in_schema.split(".")[0] == column]
    raw = bytearray(path.read_bytes())
    raw[chunk.data_page_offset + chunk.total_compressed_size * 2 // 3] ^= 1
    path.write_bytes(raw)


if __name__ == "__main__":  # a run for a test to kill
    root, output = map(Path, sys.argv[1:])
    found = {
        name: sealed(root / folder, name)
        for name, folder in (("ingest", "corpus"), ("vocab", "vocab"), ("tune", "embedder"))
    }
    export(found, output, level="both")
