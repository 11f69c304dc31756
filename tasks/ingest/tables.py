"""Writes Parquet tables row by row, in row groups of bounded size."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from model.errors import CorpusError
from tasks.ingest.column_types import to_array


class TableWriter:
    """A Parquet file with page checksums, written in row groups of bounded size.

    Args:
        rows_per_group, bytes_per_group: a row group is written when it reaches either.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        *,
        rows_per_group: int = 2**16,
        bytes_per_group: int = 2**22,
    ) -> None:
        self.num_rows = 0
        self.num_bytes = 0
        self._schema = schema
        self._limits = (rows_per_group, bytes_per_group)
        self._rows: list[Sequence[Any]] = []
        self._waiting_bytes = 0
        self._writer = pq.ParquetWriter(
            path, schema, compression="zstd", write_page_checksum=True, store_schema=True
        )

    def add(self, row: Sequence[Any], num_bytes: int = 0) -> None:
        """Take in one row, its values in the order of the schema."""
        self._rows.append(row)
        self._waiting_bytes += num_bytes
        self.num_rows += 1
        self.num_bytes += num_bytes
        rows_per_group, bytes_per_group = self._limits
        if len(self._rows) >= rows_per_group or self._waiting_bytes >= bytes_per_group:
            self._flush()

    def close(self) -> None:
        """Write what is waiting and finish the file."""
        self._flush()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        arrays = [_column(*pair) for pair in zip(columns, self._schema, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._rows, self._waiting_bytes = [], 0


def _column(values: Sequence[Any], field: pa.Field) -> pa.Array:
    try:
        return to_array(values, field.type)
    except pa.ArrowInvalid as error:
        raise CorpusError(
            f"column {field.name!r} has a value that its type, {field.type}, cannot hold "
            f"({error}): give the column one type in all files"
        ) from None
