"""Opens Parquet and Arrow IPC files as tables that give batches of bounded size."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.ingest.reading.records import FileRefusedError, Reason

_MAX_BATCH_ROWS = 16
_BATCH_BYTES = 2**22  # what rows of mean size should take together
_USUAL_RATIO = 4  # that text is compressed by
_BUFFER_BYTES = 2**16
_ENCRYPTED_MAGIC = b"PARE"
_FILE_PREFIX_BYTES = 8  # before the stream within an Arrow file

_DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError, RecursionError)
# What asking for places that a file cannot have leads to; other errors of the system are not the
# file's fault.
_DAMAGE_ERRNOS = (None, errno.EINVAL, errno.EOVERFLOW)


class BatchFile(Protocol):
    """What the formats have in common.

    Attributes:
        reason: the name of damage.
    """

    schema: pa.Schema
    reason: Reason

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows, or some columns of them, from the start. Nothing is validated.

        Raises:
            FileRefusedError: damage; the batches before it are good.
        """


class ParquetBatches:
    """A Parquet file.

    A batch has at most 16 rows, and fewer where rows are large on average. What bounds it in
    bytes is thus the largest value, which a dictionary may repeat. Beside it there are a page and
    a dictionary of each column in memory, as large as the writer made them (1 MiB is usual).

    Raises:
        FileRefusedError: it is damaged or encrypted.
    """

    reason = Reason.CORRUPT_PARQUET

    def __init__(self, file: BinaryIO) -> None:
        num_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        if file.read(len(_ENCRYPTED_MAGIC)) == _ENCRYPTED_MAGIC:
            raise FileRefusedError(Reason.ENCRYPTED)
        with damage_as(self.reason):
            self._file = pq.ParquetFile(
                file,
                buffer_size=_BUFFER_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,
                arrow_extensions_enabled=False,
            )
            self.schema = self._file.schema_arrow
            self._batch_rows = _batch_rows(num_bytes, self._file.metadata.num_rows)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        found = self._file.iter_batches(self._batch_rows, columns=columns, use_threads=False)
        return _guarded(map(_without_dictionaries, found), self.reason)


class IpcBatches:
    """An Arrow IPC file or stream. Its batches are as large as they were written.

    Of a file without its end, what comes before is read.

    Raises:
        FileRefusedError: it is damaged.
    """

    reason = Reason.CORRUPT_ARROW

    def __init__(self, file: BinaryIO, *, is_stream: bool) -> None:
        self._file = file
        self._is_stream = is_stream
        self._lacks_end = False
        try:
            self.schema = self._read_schema()
        except FileRefusedError:
            if is_stream:
                raise
            self._is_stream = self._lacks_end = True
            self.schema = self._read_schema()

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        wanted = [self.schema.get_field_index(name) for name in columns or ()]
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=wanted)
        yield from _guarded(self._read(options), self.reason)
        if self._lacks_end:
            raise FileRefusedError(self.reason)

    def _read_schema(self) -> pa.Schema:
        with damage_as(self.reason):
            return self._open(pa.ipc.IpcReadOptions()).schema

    def _open(self, options: pa.ipc.IpcReadOptions) -> Any:
        self._file.seek(_FILE_PREFIX_BYTES if self._lacks_end else 0)
        open_reader = pa.ipc.open_stream if self._is_stream else pa.ipc.open_file
        return open_reader(self._file, options=options)

    def _read(self, options: pa.ipc.IpcReadOptions) -> Iterator[pa.RecordBatch]:
        reader = self._open(options)
        if self._is_stream:
            yield from reader
        else:
            yield from map(reader.get_batch, range(reader.num_record_batches))


def _batch_rows(num_bytes: int, num_rows: int) -> int:
    """How many rows a batch may have, from the size of the whole file.

    The sizes of columns and row groups, which would say more, cannot be had: over a damaged file
    pyarrow's objects for them end the process.
    """
    mean = _USUAL_RATIO * num_bytes // max(num_rows, 1)
    return max(1, min(_MAX_BATCH_ROWS, _BATCH_BYTES // max(mean, 1)))


def _without_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With their values instead, so that validating a batch does not cost a whole dictionary."""
    columns = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _guarded(batches: Iterator[pa.RecordBatch], reason: Reason) -> Iterator[pa.RecordBatch]:
    while True:
        with damage_as(reason):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


@contextmanager
def damage_as(reason: Reason) -> Iterator[None]:
    """Makes what pyarrow raises over a damaged file a FileRefusedError."""
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in _DAMAGE_ERRNOS:
            raise
        raise FileRefusedError(reason) from None
