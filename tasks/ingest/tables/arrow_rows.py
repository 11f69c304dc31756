"""Reads Parquet and Arrow: each row is one record, its values as Arrow scalars with their types."""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from model.errors import CorpusError
from tasks.ingest.containers.contents import Content
from tasks.ingest.reading.formats import Format
from tasks.ingest.reading.records import FileRefusedError, Reason, Record, Refusal
from tasks.ingest.tables.arrow_checks import Part, checked_parts
from tasks.ingest.tables.arrow_files import BatchFile, IpcBatches, ParquetBatches, damage_as
from tasks.ingest.tables.arrow_types import row_type, row_values


class ArrowTable:
    """The rows of a Parquet file, an Arrow file or an Arrow stream.

    They can be read again and again, but not by two readers at a time.

    Attributes:
        schema: the columns with the types that rows give them.
    """

    def __init__(self, file: BatchFile) -> None:
        self._file = file
        self.schema = pa.schema([(field.name, row_type(field.type)) for field in file.schema])

    def read_rows(self) -> Iterator[Record | Refusal]:
        """The rows in order. A row that holds strings that are not UTF-8 is refused by itself.

        Raises:
            FileRefusedError: damage; the rows before it are good.
        """
        number = 0
        for part in self._parts(None):
            if part.is_valid:
                columns = self._columns(part.rows, self.schema.names)
                yield from _records(columns, number, part.rows.num_rows)
            else:
                yield Refusal(number, Reason.INVALID_UTF8)
            number += part.rows.num_rows

    def column_values(self, column: str) -> Iterator[Any]:
        """The values of one column, without reading the others; those of bad rows are left out.

        Raises:
            FileRefusedError: damage.
        """
        for part in self._parts([column]):
            if part.is_valid:
                yield from self._columns(part.rows, [column])[column].to_pylist()

    def _parts(self, columns: Sequence[str] | None) -> Iterator[Part]:
        for batch in self._file.batches(columns):
            yield from checked_parts(batch, self._file.reason)

    def _columns(self, rows: pa.RecordBatch, names: Iterable[str]) -> dict[str, pa.Array]:
        types = {name: self.schema.field(name).type for name in names}
        try:
            return {name: row_values(rows[name], found) for name, found in types.items()}
        except (pa.ArrowException, ValueError, OverflowError, LookupError):  # see `row_values`
            raise FileRefusedError(self._file.reason) from None


@contextmanager
def open_table(content: Content, kind: Format, scratch: Path) -> Iterator[ArrowTable]:
    """The table that a content of kind PARQUET, ARROW or ARROW_STREAM is.

    Where there is no file to seek in, it is first written to a nameless one in `scratch`.

    Raises:
        FileRefusedError: it is damaged, or see `Content.pieces`.
        CorpusError: two columns share a name.
        OSError: it cannot be read, or there is no space in `scratch`.
    """
    with _seekable(content, scratch) as file:
        found: BatchFile
        if kind is Format.PARQUET:
            found = ParquetBatches(file)
        else:
            found = IpcBatches(file, is_stream=kind is Format.ARROW_STREAM)
        with damage_as(found.reason):
            _check_names(found.schema, content.name)
            table = ArrowTable(found)
        yield table


@contextmanager
def _seekable(content: Content, scratch: Path) -> Iterator[BinaryIO]:
    if content.file is not None:
        yield content.file
        return
    with tempfile.TemporaryFile(dir=scratch) as spooled:
        for piece in content.pieces:
            spooled.write(piece)
        yield spooled


def _check_names(fields: Iterable[pa.Field], source: str) -> None:
    """Two columns of one name, or two fields of one name in a struct, cannot be told apart."""
    names: Counter[str] = Counter()
    for field in fields:
        names[field.name] += 1
        if names[field.name] > 1:
            raise CorpusError(f"{source} has two columns named {field.name!r}: rename one of them")
        _check_names(_fields_in(field.type), source)


def _fields_in(found: pa.DataType) -> list[pa.Field]:
    return [found.field(number) for number in range(found.num_fields)]


def _records(columns: Mapping[str, pa.Array], first_number: int, num_rows: int) -> Iterator[Record]:
    for row in range(num_rows):
        values = {name: column[row] for name, column in columns.items()}
        yield Record(first_number + row, None, values)
