"""Says what the dataset is: inside every file, and once beside them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from model.errors import ArtifactError
from model.json_files import parse_json
from tasks.embedder import EmbedderSummary
from tasks.export.config import ExportConfig
from tasks.export.parts import METADATA_KEY
from tasks.store.artifact import Artifact

SPEC_VERSION = 1
SUMMARY = "dataset.json"
PRECISION_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16"}
# Everything about a dataset that its vectors depend on, but for the documents.
_SAME = (
    "spec_version",
    "column",
    "dim",
    "precision",
    "normalised",
    "pooling",
    "layer",
    "max_window_tokens",
    "long_documents",
    "embedder_id",
    "tokenizer_id",
)


def describe(
    config: ExportConfig,
    embedder: EmbedderSummary,
    precision: torch.dtype,
    inputs: Mapping[str, Artifact],
) -> dict[str, Any]:
    """What is true of every vector of the dataset, as JSON values.

    `precision` is what it is computed in on this machine, whatever the settings leave open.
    """
    return {
        "spec_version": SPEC_VERSION,
        "column": "embedding",
        "dim": embedder.dim,
        "matryoshka_dims": embedder.matryoshka_dims,
        "dtype": config.dtype,
        "int8": config.int8,
        "binary": config.binary,
        "level": config.level,
        "precision": PRECISION_NAMES[precision],
        "normalised": True,
        "pooling": embedder.pooling,
        "layer": embedder.layer,
        "max_window_tokens": embedder.max_window_tokens,
        "long_documents": "windows, mean over all tokens of all windows, normalised once",
        "embedder_id": inputs["tune"].ref.content_id,
        "tokenizer_id": inputs["vocab"].ref.content_id,
        "corpus_id": inputs["ingest"].ref.content_id,
    }


def can_feed(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether vectors of a dataset that describes itself so are those of the wanted dataset.

    They are by the same embedder, at the same precision. From float32 every form can be made as
    it was made then; from float16 nothing but what is there.
    """
    if any(found.get(name) != wanted[name] for name in _SAME):
        return False
    has_chunks = found.get("level") == "both" or wanted["level"] == "document"
    is_same_form = all(found.get(name) == wanted[name] for name in ("dtype", "int8", "binary"))
    return has_chunks and (found.get("dtype") == "float32" or is_same_form)


def read_description(folder: Path) -> dict[str, Any]:
    """What a dataset's dataset.json says.

    Raises:
        ArtifactError: it is missing or damaged.
    """
    path = folder / SUMMARY
    try:
        found = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read ({error}): run export again") from None
    if not isinstance(found, dict):
        raise ArtifactError(f"{path} describes no dataset: run export again")
    return found


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
