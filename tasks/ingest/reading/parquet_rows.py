"""Reads Parquet: each row is one record, its values as Arrow scalars with their types."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from model.errors import CorpusError
from tasks.ingest.column_types import plain_type
from tasks.ingest.reading.formats import PARQUET_MAGIC
from tasks.ingest.reading.records import FileRefusedError, Reason, Record, Refusal
from tasks.ingest.reading.streams import open_pieces

_BATCH_ROWS = 256


@contextmanager
def open_parquet(path: Path, scratch: Path, source: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file, plain or gzipped; a gzipped one is unpacked to a nameless file in `scratch`.

    Raises:
        FileRefusedError: it is damaged (also while it is being read), or see `gunzip`.
        CorpusError: two columns share a name.
    """
    with path.open("rb") as plain, tempfile.TemporaryFile(dir=scratch) as unpacked:
        is_plain = plain.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
        if not is_plain:
            for piece in open_pieces(path):
                unpacked.write(piece)
        try:
            with pq.ParquetFile(
                plain if is_plain else unpacked, page_checksum_verification=True
            ) as file:
                _check_names(file.schema_arrow, source)
                yield file
        except (pa.ArrowException, OSError):
            raise FileRefusedError(Reason.CORRUPT_PARQUET) from None


def read_parquet(file: pq.ParquetFile) -> Iterator[Record | Refusal]:
    """The rows in order. A row that holds strings that are not UTF-8 is refused by itself."""
    number = 0
    for batch in file.iter_batches(_BATCH_ROWS):
        parts = [batch] if _is_valid(batch) else [batch.slice(row, 1) for row in range(len(batch))]
        for part in parts:
            yield from _records(part, number)
            number += part.num_rows


def column_values(file: pq.ParquetFile, column: str) -> Iterator[Any]:
    """The values of one column, without reading the others; those of bad rows are left out."""
    for batch in file.iter_batches(_BATCH_ROWS, columns=[column]):
        for scalar in batch[column]:
            with suppress(UnicodeDecodeError):
                yield scalar.as_py()


def _records(part: pa.RecordBatch, first_number: int) -> Iterator[Record | Refusal]:
    if not _is_valid(part):
        yield Refusal(first_number, Reason.INVALID_UTF8)
        return
    columns = {name: _plain(part[name]) for name in part.schema.names}
    for row in range(part.num_rows):
        values = {name: column[row] for name, column in columns.items()}
        yield Record(first_number + row, None, values)


def _is_valid(part: pa.RecordBatch) -> bool:
    try:
        part.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _plain(column: pa.Array) -> pa.Array:
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    return storage.cast(plain_type(column.type))


def _check_names(schema: pa.Schema, source: str) -> None:
    for name in schema.names:
        if schema.names.count(name) > 1:
            raise CorpusError(f"{source} has two columns named {name!r}: rename one of them")
