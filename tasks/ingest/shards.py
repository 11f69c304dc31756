"""Writes kept documents into Parquet shards, in the order they come."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from tasks.ingest.cleaning import CleanDocument
from tasks.ingest.tables import TableWriter

_DOCUMENT_FIELDS = (
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("text", pa.string(), nullable=False),
    pa.field("content_sha256", pa.binary(32), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
)
_ROWS_PER_GROUP = 1024
_SHARD_BYTES = 2**27


class ShardWriter:
    """Starts a new file ``documents/shard-00000.parquet``, ... whenever one is full: at
    `documents_per_shard` rows, or at 128 MiB of text, whichever comes first."""

    def __init__(
        self, folder: Path, metadata: Mapping[str, pa.DataType], documents_per_shard: int
    ) -> None:
        self.shards: list[dict[str, str | int]] = []
        self._folder = folder
        self._schema = pa.schema([*_DOCUMENT_FIELDS, *metadata.items()])
        self._documents_per_shard = documents_per_shard
        self._writer: TableWriter | None = None
        (folder / "documents").mkdir(parents=True, exist_ok=True)

    def add(self, document: CleanDocument) -> None:
        """Write one document."""
        writer = self._writer = self._writer or self._open()
        row = (
            document.doc_id,
            document.text,
            document.content_sha256,
            document.source,
            document.split,
            *document.metadata,
        )
        writer.add(row, document.num_bytes)
        if writer.num_rows == self._documents_per_shard or writer.num_bytes >= _SHARD_BYTES:
            self.close()

    def close(self) -> None:
        """Finish the file being written, if there is one."""
        if self._writer is not None:
            self._writer.close()
            self.shards.append({"name": self._name(), "num_documents": self._writer.num_rows})
            self._writer = None

    def _open(self) -> TableWriter:
        path = self._folder / self._name()
        return TableWriter(path, self._schema, rows_per_group=_ROWS_PER_GROUP)

    def _name(self) -> str:
        return f"documents/shard-{len(self.shards):05d}.parquet"
