"""Says what the dataset is: inside every file, and once beside them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.embedder import EmbedderSummary
from tasks.export.config import ExportConfig
from tasks.export.parts import METADATA_KEY
from tasks.store.artifact import Artifact

SPEC_VERSION = 1
SUMMARY = "dataset.json"


def describe(
    config: ExportConfig, embedder: EmbedderSummary, inputs: Mapping[str, Artifact]
) -> dict[str, Any]:
    """What is true of every vector of the dataset, as JSON values."""
    return {
        "spec_version": SPEC_VERSION,
        "column": "embedding",
        "dim": embedder.dim,
        "matryoshka_dims": embedder.matryoshka_dims,
        "dtype": config.dtype,
        "precision": config.precision,
        "normalised": True,
        "pooling": embedder.pooling,
        "layer": embedder.layer,
        "max_window_tokens": embedder.max_window_tokens,
        "long_documents": "windows, mean over all tokens of all windows, normalised once",
        "embedder_id": inputs["tune"].ref.content_id,
        "tokenizer_id": inputs["vocab"].ref.content_id,
        "corpus_id": inputs["ingest"].ref.content_id,
    }


def label(
    schema: pa.Schema, description: Mapping[str, Any], *, shard: int, num_shards: int, num_rows: int
) -> pa.Schema:
    """The schema with the description and the file's place under the key ``corpusmith``."""
    values = {**description, "shard": shard, "num_shards": num_shards, "num_rows": num_rows}
    return schema.with_metadata({METADATA_KEY: json.dumps(values, sort_keys=True).encode()})


def write_summary(
    folder: Path,
    description: Mapping[str, Any],
    files: Sequence[str],
    totals: Mapping[str, int],
) -> None:
    """Write dataset.json: the description, the totals and the files in order."""
    values = {**description, **totals, "files": list(files)}
    (folder / SUMMARY).write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")
