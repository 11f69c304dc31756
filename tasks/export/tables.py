"""Lays embedded documents out as the rows of the dataset.

Shape letters: T documents of a shard, W their windows, R rows, D embedding width.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from model.embedding import Windows, combine_windows, normalized
from tasks.export.config import ExportConfig
from tasks.export.duplicates import RowPlan
from tasks.export.vectors import vector_columns


@dataclass(frozen=True)
class Embedded:
    """The documents of a shard after the encoder.

    Attributes:
        num_tokens_T: int32, tokens of each document, without special tokens.
        windows: the windows of all documents, in order.
        means_WD: float32, each window's pooled vector.
    """

    num_tokens_T: NDArray[np.int32]
    windows: Windows
    means_WD: NDArray[np.float32]

    @property
    def num_windows_T(self) -> NDArray[np.int16]:
        """Windows of each document."""
        return self.windows.num_windows(len(self.num_tokens_T))


def document_table(
    schema: pa.Schema,
    documents: pa.Table,
    rows: RowPlan,
    embedded: Embedded,
    config: ExportConfig,
) -> pa.Table:
    """One row a document; a duplicate's row has its own id and all else from its twin.

    Raises:
        ArtifactError: a vector is not finite or not of unit length.
    """
    vectors_TD = combine_windows(embedded.means_WD, embedded.windows)
    own = {
        "doc_id": rows.doc_ids,
        "n_tokens": pa.array(embedded.num_tokens_T[rows.sources]),
        "n_windows": pa.array(embedded.num_windows_T[rows.sources]),
        "truncated": pa.repeat(pa.scalar(False), len(rows.sources)),
        **vector_columns(vectors_TD[rows.sources], config),
    }
    inherited = documents.select([name for name in schema.names if name not in own])
    taken = inherited.take(pa.array(rows.sources))
    columns = [own[name] if name in own else taken[name] for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def chunk_table(
    schema: pa.Schema, rows: RowPlan, embedded: Embedded, config: ExportConfig
) -> pa.Table:
    """One row a window, in document order; the chunks of a duplicate are those of its twin.

    Raises:
        ArtifactError: a vector is not finite or not of unit length.
    """
    windows = embedded.windows
    counts_R = embedded.num_windows_T[rows.sources].astype(np.int64)
    first_windows_T = np.cumsum(embedded.num_windows_T, dtype=np.int64) - embedded.num_windows_T
    chunk_indices = np.arange(counts_R.sum()) - np.repeat(np.cumsum(counts_R) - counts_R, counts_R)
    picked = np.repeat(first_windows_T[rows.sources], counts_R) + chunk_indices
    columns = {
        "doc_id": rows.doc_ids.take(pa.array(np.repeat(np.arange(len(counts_R)), counts_R))),
        "chunk_index": pa.array(chunk_indices.astype(np.int32)),
        "start_token": pa.array(windows.starts_W[picked].astype(np.int32)),
        "n_tokens": pa.array((windows.stops_W - windows.starts_W)[picked].astype(np.int32)),
        **vector_columns(normalized(embedded.means_WD)[picked], config),
    }
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
