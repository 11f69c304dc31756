"""Lays embedded documents out as the rows of the dataset.

Shape letters: T documents of a shard, W their windows, R rows, D embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.embedding import Windows, combine_windows, normalized
from tasks.export.config import ExportConfig
from tasks.export.duplicates import RowPlan
from tasks.export.vectors import vector_columns


@dataclass(frozen=True)
class Vectors:
    """Documents after the encoder, wherever their vectors come from.

    Attributes:
        documents: a row a document: n_tokens, n_windows and the columns of its vector.
        chunks: a row a window, document after document: start_token, n_tokens and the columns of
            its vector; None where only documents are asked for.
    """

    documents: pa.Table
    chunks: pa.Table | None

    def take(self, indices_R: NDArray[np.int64]) -> "Vectors":
        """Those documents, which may repeat, with their windows."""
        documents = self.documents.take(pa.array(indices_R))
        if self.chunks is None:
            return Vectors(documents, None)
        num_windows_T = num_windows_of(self.documents)
        first_windows_T = np.cumsum(num_windows_T) - num_windows_T
        counts_R = num_windows_T[indices_R]
        picked_W = np.repeat(first_windows_T[indices_R], counts_R) + places_within(counts_R)
        return Vectors(documents, self.chunks.take(pa.array(picked_W)))


def fresh_vectors(
    lengths: Sequence[int],
    windows: Windows,
    sums_WD: NDArray[np.float32],
    config: ExportConfig,
) -> Vectors:
    """What the encoder gave, in the forms asked for.

    Args:
        lengths: tokens of each document, without special tokens.
        windows: of all documents, in order.
        sums_WD: each window's pooled vector.

    Raises:
        ArtifactError: a vector is not finite or not of unit length.
    """
    documents = {
        "n_tokens": pa.array(np.array(lengths, dtype=np.int32)),
        "n_windows": pa.array(windows.num_windows(len(lengths))),
        **vector_columns(combine_windows(sums_WD, windows), config),
    }
    if config.level == "document":
        return Vectors(pa.table(documents), None)
    chunks = {
        "start_token": pa.array(windows.starts_W.astype(np.int32)),
        "n_tokens": pa.array((windows.stops_W - windows.starts_W).astype(np.int32)),
        **vector_columns(normalized(sums_WD), config),
    }
    return Vectors(pa.table(documents), pa.table(chunks))


def merged(parts: Sequence[tuple[NDArray[np.int64], Vectors]]) -> Vectors:
    """The vectors of several sets of documents as one, each document at its place among all."""
    documents = pa.concat_tables([vectors.documents for _, vectors in parts])
    tables = [vectors.chunks for _, vectors in parts if vectors.chunks is not None]
    joined = Vectors(documents, pa.concat_tables(tables) if tables else None)
    return joined.take(np.argsort(np.concatenate([places for places, _ in parts])))


def document_table(
    schema: pa.Schema, documents: pa.Table, rows: RowPlan, vectors: Vectors
) -> pa.Table:
    """One row a document; a duplicate's row has its own id and all else from its twin."""
    own = vectors.documents
    made = {
        "doc_id": rows.doc_ids,
        "truncated": pa.repeat(pa.scalar(False), len(rows.sources)),
        **{name: own[name].take(pa.array(rows.sources)) for name in own.column_names},
    }
    inherited = documents.select([name for name in schema.names if name not in made])
    taken = inherited.take(pa.array(rows.sources))
    columns = [made[name] if name in made else taken[name] for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def chunk_table(schema: pa.Schema, rows: RowPlan, vectors: Vectors) -> pa.Table:
    """One row a window, in document order; the chunks of a duplicate are those of its twin."""
    picked = vectors.take(rows.sources)
    assert picked.chunks is not None
    counts_R = num_windows_of(picked.documents)
    made = {
        "doc_id": chunk_doc_ids(rows.doc_ids, counts_R),
        "chunk_index": pa.array(places_within(counts_R).astype(np.int32)),
        **{name: picked.chunks[name] for name in picked.chunks.column_names},
    }
    return pa.Table.from_arrays([made[name] for name in schema.names], schema=schema)


def chunk_doc_ids(doc_ids: pa.Array, num_windows_R: NDArray[np.int64]) -> pa.Array:
    """The document of each chunk."""
    return doc_ids.take(pa.array(np.repeat(np.arange(len(num_windows_R)), num_windows_R)))


def num_windows_of(documents: pa.Table) -> NDArray[np.int64]:
    """Windows of each document."""
    counts: NDArray[np.int64] = documents["n_windows"].to_numpy().astype(np.int64)
    return counts


def places_within(counts_R: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... up to each count, one after another: the places of windows in their documents."""
    starts_R = np.cumsum(counts_R) - counts_R
    return np.arange(counts_R.sum()) - np.repeat(starts_R, counts_R)
