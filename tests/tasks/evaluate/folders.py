"""Small upstream artifacts for the tests: a corpus, an encoder, an embedder, a dataset."""

import hashlib
import json
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from model.config import EncoderConfig
from model.encoder import Encoder
from model.huggingface import save_encoder
from model.initialization import initialize
from tasks.embedder import EmbedderSummary
from tasks.store.artifact import Artifact, artifact_from
from tasks.store.identity import Identity
from tasks.store.manifest import FileEntry, Manifest, render_manifest
from tasks.token_weight_files import write_token_weights

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ARCHITECTURE = EncoderConfig(
    vocab_size=261, hidden_size=32, num_layers=1, num_heads=2, intermediate_size=48
)


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def write_corpus(
    folder: Path,
    documents: Sequence[dict[str, Any]],
    *,
    label_column: str | None = None,
    title_column: str | None = None,
    documents_per_shard: int = 100,
) -> Path:
    """A corpus of documents with doc_id, text, split and metadata under any other key."""
    (folder / "documents").mkdir(parents=True)
    own = ("doc_id", "text", "split")
    rows = [
        {
            "doc_id": document["doc_id"],
            "text": document["text"],
            "content_sha256": sha256(document["text"]),
            "source": "made.jsonl",
            "split": document["split"],
            **{name: value for name, value in document.items() if name not in own},
        }
        for document in documents
    ]
    shards = []
    for number, start in enumerate(range(0, len(rows), documents_per_shard)):
        part = rows[start : start + documents_per_shard]
        table = pa.Table.from_pylist(part)
        index = table.schema.get_field_index("content_sha256")
        table = table.set_column(
            index, "content_sha256", table["content_sha256"].cast(pa.binary(32))
        )
        name = f"documents/shard-{number:05d}.parquet"
        pq.write_table(table, folder / name, write_page_checksum=True)
        shards.append({"name": name, "num_documents": len(part)})
    splits = ("train", "validation", "test")
    about = {
        "num_documents": {split: sum(row["split"] == split for row in rows) for split in splits},
        "num_text_bytes": dict.fromkeys(splits, 0),
        "num_read": len(rows),
        "num_kept": len(rows),
        "num_duplicate": 0,
        "num_dropped": 0,
        "num_quarantined": 0,
        "reasons": {},
        "label_column": label_column,
        "title_column": title_column,
        "metadata_columns": [name for name in documents[0] if name not in own],
        "shards": shards,
    }
    (folder / "corpus.json").write_text(json.dumps(about))
    return folder


def write_encoder(folder: Path, *, seed: int = 0) -> Path:
    """An encoder with a tokenizer whose tokens are bytes."""
    folder.mkdir(parents=True)
    encoder = Encoder(ARCHITECTURE)
    initialize(encoder, ARCHITECTURE, seed)
    save_encoder(encoder, folder)
    names = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_embedder(folder: Path, *, seed: int = 1) -> Path:
    """An embedder; its manifest's content id depends on the seed."""
    write_encoder(folder, seed=seed)
    summary = EmbedderSummary(
        pooling="weighted_mean",
        dim=32,
        matryoshka_dims=[32, 16, 8],
        max_window_tokens=64,
        layer=1,
    )
    summary.write(folder)
    vocab_size = ARCHITECTURE.vocab_size
    write_token_weights(
        folder, torch.linspace(0.2, 1.0, vocab_size), list(map(str, range(vocab_size)))
    )
    seal(folder, "tune")
    return folder


def seal(folder: Path, stage: str) -> Manifest:
    """Put a manifest of all files into the folder."""
    files = tuple(
        FileEntry(
            name=str(path.relative_to(folder)),
            bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    identity = Identity(stage=stage, version=1, settings={}, inputs={})
    manifest = Manifest(identity=identity, inputs={}, files=files)
    (folder / "MANIFEST.json").write_bytes(render_manifest(manifest))
    return manifest


def artifact(folder: Path, stage: str) -> Artifact:
    return artifact_from(folder, seal(folder, stage))


def write_dataset(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    vectors: np.ndarray,
    *,
    embedder_id: str,
    dtype: str = "float32",
    rows_per_part: int = 100,
) -> Path:
    """An embeddings dataset as the public contract has it."""
    folder.mkdir(parents=True)
    starts = range(0, len(rows), rows_per_part)
    for shard, start in enumerate(starts):
        part = rows[start : start + rows_per_part]
        flat = pa.array(vectors[start : start + rows_per_part].astype(dtype).reshape(-1))
        columns = {
            "doc_id": [row["doc_id"] for row in part],
            "content_sha256": pa.array([row["content_sha256"] for row in part], pa.binary(32)),
            "split": [row["split"] for row in part],
            "embedding": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            "year": [row["year"] for row in part],
            "heading": [row["heading"] for row in part],
            "notes": [{"seen": date(2001, 2, 3), "raw": b"\xff", "odd": [math.nan]}] * len(part),
        }
        about = {"embedder_id": embedder_id, "shard": shard, "num_shards": len(starts)}
        table = pa.table(columns).replace_schema_metadata({"corpusmith": json.dumps(about)})
        pq.write_table(table, folder / f"part-{shard:05d}.parquet", write_page_checksum=True)
    return folder


def write_ledger(folder: Path, doc_ids: Sequence[str]) -> None:
    """A ledger that says of all these documents that they were kept."""
    rows = [{"doc_id": doc_id, "status": "kept", "kept_doc_id": None} for doc_id in doc_ids]
    schema = pa.schema([(name, pa.string()) for name in ("doc_id", "status", "kept_doc_id")])
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, folder / "ledger.parquet", write_page_checksum=True)
