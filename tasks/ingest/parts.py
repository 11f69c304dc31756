"""Parts of the row table on disk: as they were read, or as an artifact keeps them.

A part that was just read is one Arrow file. In an artifact its rows stand in
``rows/part-00000.parquet``, the texts of kept documents in ``documents/``, and those of the other
candidates in ``withheld/``, so that no text is stored twice; a row's ``place`` says where.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.corpus import DOCUMENT_COLUMNS
from tasks.ingest.rows import ROWS_PER_BATCH, sliced

NOWHERE, IN_DOCUMENTS, IN_WITHHELD = 0, 1, 2
_PART_BYTES = 2**27


@dataclass(frozen=True)
class Part:
    """Rows that follow each other, all of one group.

    Attributes:
        rows: the Arrow file, or of an artifact the Parquet file with the light columns.
        documents, withheld: of an artifact, where the texts are; None where there are none.
    """

    num_rows: int
    rows: Path
    is_committed: bool = False
    documents: Path | None = None
    withheld: Path | None = None

    def light(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some of the light columns, read without the texts."""
        if self.is_committed:
            with pq.ParquetFile(self.rows, page_checksum_verification=True) as file:
                yield from file.iter_batches(ROWS_PER_BATCH * 8, columns=list(names))
            return
        with pa.OSFile(str(self.rows)) as file:
            schema = pa.ipc.open_file(file).schema
            wanted = [schema.get_field_index(name) for name in names]
            options = pa.ipc.IpcReadOptions(included_fields=wanted)
            reader = pa.ipc.open_file(file, options=options)
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number).select(names)

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """All columns of `schema`; those that the part lacks are null."""
        if self.is_committed:
            yield from _fitted(self._joined().to_batches(ROWS_PER_BATCH), schema)
            return
        with pa.OSFile(str(self.rows)) as file:
            reader = pa.ipc.open_file(file)
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            yield from _fitted(batches, schema)

    def _joined(self) -> pa.Table:
        rows = _as_read(pq.read_table(self.rows, page_checksum_verification=True))
        places = rows["place"].to_numpy()
        bodies = [body for body in (_body(self.documents), _body(self.withheld)) if body]
        if not bodies:
            return rows
        order = np.argsort(places, kind="stable")  # refused, kept, withheld: as the bodies lie
        index = np.empty(len(places), np.int64)
        index[order] = np.arange(len(places)) - (places == NOWHERE).sum()
        body = pa.concat_tables(bodies, promote_options="default")
        taken = body.take(pa.array(index, mask=places == NOWHERE))
        for name in taken.column_names:
            rows = rows.append_column(name, taken[name])
        return rows


class PartWriter:
    """Writes rows into Arrow files ``part-00000.arrow``, ... of bounded size.

    Attributes:
        sizes: the number of rows of each finished part.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.sizes: list[int] = []
        self._folder = folder
        self._schema = schema
        self._num_rows = 0
        self._writer: pa.ipc.RecordBatchFileWriter | None = None

    def write(self, batches: Iterable[pa.RecordBatch], rows_per_part: int) -> None:
        """Write all rows; a part ends with so many, or with 128 MiB of text."""
        for batch, is_full in sliced(batches, rows_per_part, _PART_BYTES):
            if self._writer is None:
                path = part_path(self._folder, len(self.sizes))
                self._writer = pa.ipc.new_file(str(path), self._schema)
            self._writer.write_batch(batch)
            self._num_rows += batch.num_rows
            if is_full:
                self.close()

    def close(self) -> None:
        """Finish the part being written, if there is one."""
        if self._writer is not None:
            self._writer.close()
            self.sizes.append(self._num_rows)
            self._writer, self._num_rows = None, 0


def part_path(folder: Path, number: int) -> Path:
    """Where `PartWriter` writes."""
    return folder / f"part-{number:05d}.arrow"


def _as_read(rows: pa.Table) -> pa.Table:
    """The rows without the previews that were added when they were judged."""
    was_refused = rows["reason"].is_valid()
    preview = pa.compute.if_else(was_refused, rows["preview"], pa.scalar(None, pa.string()))
    return rows.set_column(rows.column_names.index("preview"), "preview", preview)


def _body(path: Path | None) -> pa.Table | None:
    """Texts and metadata of a file, named as in the row table."""
    if path is None:
        return None
    table = pq.read_table(path, page_checksum_verification=True)
    names = [name for name in table.column_names if name not in DOCUMENT_COLUMNS or name == "text"]
    renamed = [name if name == "text" else f"metadata.{name}" for name in names]
    return table.select(names).rename_columns(renamed)


def _fitted(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        arrays = [
            batch.column(field.name)
            if field.name in batch.schema.names
            else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
