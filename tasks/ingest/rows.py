"""The table of everything found in the files: one row a record or refusal, in corpus order.

What the later steps need of a row (identity, place, signature) stands in light columns, so that
they can be read without the texts. A *candidate* is a row that is a document unless another one
has its text or its id; its text and metadata are null where the row was refused.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.ingest.duplicates.signatures import NUM_PERMUTATIONS, band_shape

KEY_BYTES = 16
ROWS_PER_BATCH, BYTES_PER_BATCH = 1024, 2**22

_LIGHT = (
    pa.field("file", pa.string(), nullable=False),  # the source file, or archive, by name
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("source", pa.string(), nullable=False),  # the file, or the member of the archive
    pa.field("reason", pa.string()),  # of a refusal
    pa.field("byte_offset", pa.int64()),
    pa.field("num_bytes", pa.int64()),
    pa.field("preview", pa.string()),
    pa.field("id_key", pa.binary(KEY_BYTES)),
    pa.field("content_sha256", pa.binary(32)),
    pa.field("metadata_key", pa.binary(KEY_BYTES)),
    pa.field("num_text_bytes", pa.int64()),
    pa.field("given_split", pa.string()),
)
LIGHT_NAMES = tuple(field.name for field in _LIGHT)
SIGNATURE_NAMES = ("has_words", "bands", "sketch")


def light_schema(near_duplicate_threshold: float | None) -> pa.Schema:
    """The columns without the texts; with signatures where near duplicates are looked for."""
    if near_duplicate_threshold is None:
        return pa.schema(_LIGHT)
    num_bands, _ = band_shape(near_duplicate_threshold)
    signature = (
        pa.field("has_words", pa.bool_()),
        pa.field("bands", pa.binary(8 * num_bands)),
        pa.field("sketch", pa.binary(2 * NUM_PERMUTATIONS)),
    )
    return pa.schema([*_LIGHT, *signature])


def row_schema(
    near_duplicate_threshold: float | None, metadata: Mapping[str, pa.DataType]
) -> pa.Schema:
    """All columns: the light ones, the text, the user's metadata under ``metadata.NAME``."""
    body = [pa.field("text", pa.string()), *metadata_fields(metadata)]
    return pa.schema([*light_schema(near_duplicate_threshold), *body])


def metadata_fields(metadata: Mapping[str, pa.DataType]) -> list[pa.Field]:
    """The user's columns under names that cannot meet ours."""
    return [pa.field(f"metadata.{name}", found) for name, found in metadata.items()]


def fixed_bytes(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A column of fixed size as bytes (num_rows, width); rows that are null hold anything."""
    width = column.type.byte_width
    if column.null_count == len(column):  # there may be no buffer
        return np.zeros((len(column), width), np.uint8)
    data = np.frombuffer(column.buffers()[1], np.uint8)
    start = column.offset * width
    return data[start : start + len(column) * width].reshape(len(column), width)


def fixed_column(values: np.ndarray[Any, Any]) -> pa.Array:
    """Rows of any fixed size (num_rows, ...) as a column of bytes."""
    rows = np.ascontiguousarray(values)
    width = rows.nbytes // max(len(rows), 1)
    return pa.Array.from_buffers(pa.binary(width), len(rows), [None, pa.py_buffer(rows)])


def sliced(
    batches: Iterable[pa.RecordBatch], max_rows: int, max_bytes: int
) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """The rows in slices, each with whether a chunk is full with it.

    A chunk is full with its row number `max_rows`, or with the row whose text brings it to
    `max_bytes`; so chunks depend on nothing but the rows.
    """
    num_rows = num_bytes = 0
    for batch in batches:
        sizes = batch.column("num_text_bytes").fill_null(0).to_numpy(zero_copy_only=False)
        start = 0
        while start < len(sizes):
            ends = num_bytes + np.cumsum(sizes[start : start + max_rows - num_rows])
            taken = min(int(np.searchsorted(ends, max_bytes)) + 1, len(ends))
            num_rows, num_bytes = num_rows + taken, int(ends[taken - 1])
            is_full = num_rows == max_rows or num_bytes >= max_bytes
            yield batch.slice(start, taken), is_full
            start += taken
            if is_full:
                num_rows = num_bytes = 0


def rechunked(
    batches: Iterable[pa.RecordBatch], max_rows: int, max_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The rows in batches that are chunks in the sense of `sliced`; the last one is the rest."""
    waiting: list[pa.RecordBatch] = []
    for batch, is_full in sliced(batches, max_rows, max_bytes):
        waiting.append(batch)
        if is_full:
            yield pa.concat_batches(waiting)
            waiting = []
    if waiting:
        yield pa.concat_batches(waiting)
