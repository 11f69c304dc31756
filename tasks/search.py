"""Finds documents by meaning: exact cosine over a published dataset, streamed from its files.

Shape letters: Q queries, N rows of a batch, D embedding width.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.errors import ArtifactError
from tasks.embed_file import embed_file
from tasks.embedder import Embedder
from tasks.export.parts import METADATA_KEY
from tasks.passages import best_passage, texts_of
from tasks.store.manifest import read_manifest

__all__ = ["Hit", "embed_file", "search"]

_BATCH_BYTES = 16 * 2**20
_UNUSED_COLUMNS = frozenset({"embedding_int8", "scale", "embedding_binary"})
_IDENTITY_COLUMNS = frozenset({"doc_id", "content_sha256"})


@dataclass(frozen=True)
class Hit:
    """A document found.

    Attributes:
        doc_id: the dataset's id.
        score: cosine to the query, in [-1, 1].
        title: the user's title column, where one was named and the document has one.
        text: the passage of the document that shares most words with the query, at most about 200
            characters; None where the corpus no longer has the document.
        columns: split, token and window counts and the user's metadata, as JSON values: bytes in
            hexadecimal, times and whatever else JSON has no form for as text.
    """

    doc_id: str
    score: float
    title: str | None
    text: str | None
    columns: dict[str, Any]


@dataclass(frozen=True)
class _Candidate:
    """A row of the dataset that is among the best so far."""

    score: float
    row: dict[str, Any]


def search(
    queries: Sequence[str], *, k: int, dataset: Path, embedder: Path, corpus: Path
) -> list[list[Hit]]:
    """The k documents nearest to each query, best first; equal scores in corpus order.

    Args:
        queries: words or whole texts.
        k: how many hits, at least 1; fewer where the dataset is smaller.
        dataset: folder of an export artifact.
        embedder: folder of the tune artifact that the dataset was made with.
        corpus: folder of the ingest artifact that the dataset was made from.

    Raises:
        ArtifactError: the dataset was made with another embedder, so its vectors and the query's
            cannot be compared; or a file is missing or damaged.

    Cost: one pass over all vectors, 16 MB of them in memory at a time.
    """
    parts = _parts(dataset)
    _check_parts(parts, embedder)
    queries_QD = Embedder.load(embedder).encode_texts(queries)
    best: list[list[_Candidate]] = [[] for _ in queries]
    for batch in _batches(parts, queries_QD.shape[1]):
        _take_in(batch, queries_QD, best, k)
    found = {candidate.row["content_sha256"] for hits in best for candidate in hits}
    texts = texts_of(corpus, found)
    title_column = texts.title_column
    return [
        [_hit(candidate, query, texts.by_hash, title_column) for candidate in candidates]
        for query, candidates in zip(queries, best, strict=True)
    ]


def _take_in(
    batch: pa.RecordBatch, queries_QD: NDArray[np.float32], best: list[list[_Candidate]], k: int
) -> None:
    scores_QN = queries_QD @ _vectors(batch).T
    for query, scores_N in enumerate(scores_QN):
        # A stable sort keeps the earlier of two equal documents, here and in the merge below.
        nearest = np.argsort(-scores_N, kind="stable")[:k]
        if len(best[query]) == k:
            nearest = nearest[scores_N[nearest] > best[query][-1].score]
        candidates = [_Candidate(float(scores_N[i]), _row(batch, int(i))) for i in nearest]
        best[query] = nlargest(k, best[query] + candidates, key=lambda candidate: candidate.score)


def _vectors(batch: pa.RecordBatch) -> NDArray[np.float32]:
    column = batch.column("embedding")
    flat: NDArray[np.floating] = column.flatten().to_numpy(zero_copy_only=False)
    return flat.astype(np.float32).reshape(batch.num_rows, column.type.list_size)


def _row(batch: pa.RecordBatch, index: int) -> dict[str, Any]:
    row: dict[str, Any] = batch.slice(index, 1).drop_columns(["embedding"]).to_pylist()[0]
    return row


def _hit(
    candidate: _Candidate, query: str, texts: dict[bytes, str], title_column: str | None
) -> Hit:
    row = candidate.row
    text = texts.get(row["content_sha256"])
    title = row.get(title_column) if title_column else None
    return Hit(
        doc_id=row["doc_id"],
        score=candidate.score,
        title=None if title is None else str(title),
        text=None if text is None else best_passage(text, query),
        columns={name: _plain(row[name]) for name in row if name not in _IDENTITY_COLUMNS},
    )


def _plain(value: Any) -> Any:
    """The value in a form that JSON has."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case _:
            return str(value)


def _parts(dataset: Path) -> list[Path]:
    parts = sorted(dataset.glob("part-*.parquet"))
    if not parts:
        raise ArtifactError(f"{dataset} holds no part-*.parquet: run export again")
    return parts


def _batches(parts: Sequence[Path], dim: int) -> Iterator[pa.RecordBatch]:
    rows_per_batch = max(1, _BATCH_BYTES // (4 * dim))
    for path in parts:
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as part:
                _check_dim(part, dim, path)
                yield from part.iter_batches(rows_per_batch, columns=_columns(part))
        except (OSError, pa.ArrowException) as error:
            first_line = str(error).partition("\n")[0]
            raise ArtifactError(
                f"{path} cannot be read ({first_line}): delete the artifact and run export again"
            ) from None


def _columns(part: pq.ParquetFile) -> list[str]:
    return [name for name in part.schema_arrow.names if name not in _UNUSED_COLUMNS]


def _check_dim(part: pq.ParquetFile, dim: int, path: Path) -> None:
    found = part.schema_arrow.field("embedding").type.list_size
    if found != dim:
        raise ArtifactError(
            f"{path} holds vectors of {found} numbers, the embedder makes {dim}: run export again"
        )


def _check_parts(parts: Sequence[Path], embedder: Path) -> None:
    """Every file is there, and all were made with this embedder."""
    descriptions = [_description(part) for part in parts]
    given = read_manifest(embedder).content_id
    for part, description in zip(parts, descriptions, strict=True):
        if description.get("embedder_id") != given:
            raise ArtifactError(
                f"{part} was made with embedder {description.get('embedder_id')}, {embedder} is "
                f"{given}: vectors of two embedders cannot be compared; search with the one it was "
                "made with, or run export"
            )
    num_shards = descriptions[0].get("num_shards")
    shards = sorted(description.get("shard", -1) for description in descriptions)
    if shards != list(range(num_shards or 0)):
        raise ArtifactError(
            f"{parts[0].parent} holds {len(parts)} of {num_shards} parts: run export again"
        )


def _description(part: Path) -> dict[str, Any]:
    try:
        description = json.loads((pq.read_schema(part).metadata or {})[METADATA_KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise ArtifactError(
            f"{part} does not say which embedder made it ({error}): run export again"
        ) from None
    if not isinstance(description, dict):
        raise ArtifactError(f"{part} does not say which embedder made it: run export again")
    return description
