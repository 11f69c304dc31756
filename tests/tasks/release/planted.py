"""Releases for the tests: tiny embedders, corpora of topics, and exports of planted vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.export.columns import document_schema
from tasks.export.config import ExportConfig
from tasks.export.dataset import label, write_summary
from tasks.export.parts import part_name, write_part
from tasks.export.vectors import vector_columns
from tasks.release.pointer import Release, publish
from tasks.store.artifact import Artifact
from tasks.store.store import Store
from tests.corpora import topic_documents
from tests.tasks.evaluate.folders import sha256, write_corpus, write_embedder
from tests.tasks.store.making import identity_of, make

DIM = 32
DIMS = [32, 16, 8]


@dataclass(frozen=True)
class Planted:
    """A release and the artifacts it names."""

    release: Release
    corpus: Artifact
    embedder: Artifact
    export: Artifact


def documents(num: int, *, split: str = "train", seed: int = 0) -> list[dict[str, Any]]:
    """Every third one is a test document; labelled by topic."""
    return [
        {
            "doc_id": str(made["id"]),
            "text": str(made["text"]),
            "split": "test" if number % 3 == 0 else split,
            "topic": str(made["topic"]),
        }
        for number, made in enumerate(topic_documents(num, seed=seed))
    ]


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "MANIFEST.json"
    }


def corpus_of(store: Store, folder: Path, rows: Sequence[dict[str, Any]], **about: Any) -> Artifact:
    made = write_corpus(folder, rows, **about)
    return make(store, identity_of("ingest", folder=str(folder)), files=files_of(made))


def embedder_of(store: Store, folder: Path, corpus: Artifact, seed: int) -> Artifact:
    inputs = {"ingest": corpus}
    files = files_of(write_embedder(folder, seed=seed))
    return make(store, identity_of("tune", inputs, seed=seed), inputs=inputs, files=files)


def write_export(
    folder: Path,
    rows: Sequence[dict[str, Any]],
    vectors: np.ndarray,
    embedder_id: str,
    config: ExportConfig,
) -> Path:
    """As export writes it, in two parts."""
    folder.mkdir(parents=True)
    dim = vectors.shape[1]
    forms = {"dtype": config.dtype, "int8": config.int8, "binary": config.binary}
    about = {"embedder_id": embedder_id, "dim": dim, "matryoshka_dims": DIMS, **forms}
    schema = document_schema([pa.field("topic", pa.string())], dim, config)
    halves = np.array_split(np.arange(len(rows)), 2)
    for shard, numbers in enumerate(halves):
        part = [rows[number] for number in numbers]
        own = {
            "doc_id": [row["doc_id"] for row in part],
            "content_sha256": [sha256(row["text"]) for row in part],
            "split": [row["split"] for row in part],
            "n_tokens": [5] * len(part),
            "n_windows": [1] * len(part),
            "truncated": [False] * len(part),
            "topic": [row["topic"] for row in part],
            **vector_columns(vectors[numbers].astype(np.float32), config),
        }
        told = label(schema, about, shard=shard, num_shards=2, num_rows=len(rows))
        columns = [
            value if isinstance(value, pa.Array) else pa.array(value, schema.field(name).type)
            for name, value in ((name, own[name]) for name in schema.names)
        ]
        write_part(folder / part_name(shard), pa.Table.from_arrays(columns, schema=told))
    write_summary(folder, about, [part_name(0), part_name(1)], {"num_rows": len(rows)})
    return folder


def planted(
    store: Store,
    folder: Path,
    rows: Sequence[dict[str, Any]],
    vectors: np.ndarray,
    *,
    seed: int = 1,
    config: ExportConfig | None = None,
) -> Planted:
    """Publish these documents with these vectors, as of an embedder with weights of that seed."""
    corpus = corpus_of(store, folder / "corpus", rows, label_column="topic")
    embedder = embedder_of(store, folder / "embedder", corpus, seed)
    made = write_export(
        folder / "export", rows, vectors, embedder.ref.content_id, config or ExportConfig()
    )
    inputs = {"ingest": corpus, "tune": embedder}
    identity = identity_of("export", inputs, folder=folder.name)
    export = make(store, identity, inputs=inputs, files=files_of(made))
    release = publish(store.workspace, embedder=embedder.ref, export=export.ref)
    return Planted(release, corpus, embedder, export)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
