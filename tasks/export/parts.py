"""One Parquet file of the dataset: writes it, recognises a finished one, reads rows of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

METADATA_KEY = b"corpusmith"
PART_PREFIX = "part-"
_ROW_GROUP_BYTES = 32 * 2**20


def part_name(shard: int) -> str:
    """The file of a shard's documents."""
    return f"{PART_PREFIX}{shard:05d}.parquet"


def chunk_name(shard: int) -> str:
    """The file of a shard's chunks."""
    return f"chunk-{shard:05d}.parquet"


def write_part(path: Path, table: pa.Table) -> None:
    """Write a table into a file that appears under its name only when it is whole.

    Row groups hold about 32 MB of vectors, so that a reader can skip and run in parallel. Vectors
    get no dictionary (they never repeat) and no statistics (they have no order). Pages carry
    checksums.
    """
    partial = path.with_name(path.name + ".partial")
    _write(table, str(partial))
    partial.replace(path)


def _write(table: pa.Table, sink: str | pa.NativeFile) -> None:
    """The same bytes for the same rows, however these lie in memory."""
    others = [name for name in table.column_names if not name.startswith("embedding")]
    pq.write_table(
        table.combine_chunks(),
        sink,
        row_group_size=_rows_per_group(table.schema),
        compression="zstd",
        compression_level=1,
        use_dictionary=others,
        write_statistics=others,
        write_page_checksum=True,
    )


def is_finished(path: Path, schema: pa.Schema, doc_ids: pa.Array) -> bool:
    """Whether a file holds exactly these rows of exactly this dataset, every byte undamaged.

    The schema's metadata names the embedder, the corpus and the place of the file. Pages have
    checksums; what describes them has none, so it must be what writing these rows gives.
    Cost: reads the whole file and encodes its rows anew.
    """
    try:
        found = pq.read_table(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException):
        return False
    label = (found.schema.metadata or {}).get(METADATA_KEY)
    is_same_dataset = found.schema.equals(schema) and label == schema.metadata[METADATA_KEY]
    if not is_same_dataset or not found["doc_id"].combine_chunks().equals(doc_ids):
        return False
    written = pa.BufferOutputStream()
    _write(found.cast(schema), written)  # Parquet gives other names to the parts of lists
    return bool(path.read_bytes() == written.getvalue().to_pybytes())


def read_rows(path: Path, rows_R: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
    """The rows with these ascending numbers; row groups without any are not read.

    Raises:
        OSError, pa.ArrowException: the file is missing or damaged.
    """
    tables = []
    first = 0
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            end = first + file.metadata.row_group(group).num_rows
            begin, stop = np.searchsorted(rows_R, [first, end])
            if begin < stop:
                table = file.read_row_group(group, columns=list(columns))
                tables.append(table.take(pa.array(rows_R[begin:stop] - first)))
            first = end
    return pa.concat_tables(tables)


def _rows_per_group(schema: pa.Schema) -> int:
    embedding = schema.field("embedding").type
    vector_bytes: int = embedding.list_size * embedding.value_type.byte_width
    return max(1, _ROW_GROUP_BYTES // vector_bytes)
