"""Reads a corpus, the artifact that ingest makes: the one door for every later stage."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.errors import ArtifactError
from model.json_files import parse_json

SPLITS = ("train", "validation", "test")
DOCUMENT_COLUMNS = ("doc_id", "text", "content_sha256", "source", "split")
EMBEDDING_COLUMNS = (  # that the embeddings dataset adds beside the user's metadata
    "n_tokens",
    "n_windows",
    "truncated",
    "embedding",
    "embedding_int8",
    "scale",
    "embedding_binary",
)
_RESERVED_COLUMNS = frozenset(DOCUMENT_COLUMNS + EMBEDDING_COLUMNS)
_BATCH_ROWS = 1024


def is_reserved(column: str) -> bool:
    """Whether metadata may not have this name, as readers that ignore case see it."""
    return column.casefold() in _RESERVED_COLUMNS


@dataclass(frozen=True)
class ShardSummary:
    """One Parquet file of documents: its name inside the artifact and its number of rows."""

    name: str
    num_documents: int


@dataclass(frozen=True)
class CorpusSummary:
    """What corpus.json says.

    Attributes:
        num_documents: kept documents by split.
        num_text_bytes: their UTF-8 bytes by split.
        num_read: documents found; equals kept + duplicate + dropped + quarantined.
        reasons: why documents were dropped or quarantined, with how many.
        label_column, title_column: metadata columns that classify and that name, if any.
        metadata_columns: the user's columns, in file order.
        shards: the Parquet files, in corpus order.
        num_near_duplicate: how many of the duplicates are similar, not equal.
        cleaned: what cleaning removed, mended or masked, with how many.
        carried_over: files that could not be read and keep the documents of an earlier corpus.
    """

    num_documents: dict[str, int]
    num_text_bytes: dict[str, int]
    num_read: int
    num_kept: int
    num_duplicate: int
    num_dropped: int
    num_quarantined: int
    reasons: dict[str, int]
    label_column: str | None
    title_column: str | None
    metadata_columns: list[str]
    shards: list[ShardSummary]
    num_near_duplicate: int = 0
    cleaned: dict[str, int] = field(default_factory=dict)
    carried_over: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Document:
    """One kept document.

    Attributes:
        content_sha256: 32 bytes, of the normalised text in UTF-8.
        split: train, validation or test.
        metadata: the user's columns as Python values; None where a document has none.
    """

    doc_id: str
    text: str
    content_sha256: bytes
    split: str
    metadata: dict[str, Any]


class Corpus:
    """The documents of a committed ingest artifact, streamed in corpus order.

    Every reader verifies page checksums and holds one batch of documents in memory.

    Raises:
        ArtifactError: from any member, where a file is missing, damaged or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def about(self) -> CorpusSummary:
        """Counts, columns and shards."""
        path = self.folder / "corpus.json"
        try:
            values = parse_json(path.read_text("utf-8"))
            shards = [ShardSummary(**shard) for shard in values.pop("shards")]
            return CorpusSummary(**values, shards=shards)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(
                f"{path} is not a corpus summary ({error}): delete the artifact and run ingest"
            ) from None

    @property
    def shards(self) -> list[Path]:
        """The Parquet files in corpus order."""
        return [self.folder / shard.name for shard in self.about.shards]

    def documents(self, split: str | None = None) -> Iterator[Document]:
        """The documents of one split, or of all."""
        for batch in self._batches(None, split):
            for row in batch.to_pylist():
                yield Document(
                    doc_id=row.pop("doc_id"),
                    text=row.pop("text"),
                    content_sha256=row.pop("content_sha256"),
                    split=row.pop("split"),
                    metadata={name: row[name] for name in self.about.metadata_columns},
                )

    def texts(self, split: str | None = None) -> Iterator[str]:
        """Just the texts, without reading the other columns."""
        for batch in self._batches(["text"], split):
            yield from batch.column("text").to_pylist()

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Arrow batches of all documents; of the named columns, or of all of them."""
        return self._batches(columns, None)

    def _batches(self, columns: list[str] | None, split: str | None) -> Iterator[pa.RecordBatch]:
        for path in self.shards:
            yield from read_batches(path, columns, split)


def read_shard(path: Path, columns: list[str] | None = None) -> pa.Table:
    """One shard as a table, page checksums verified.

    Raises:
        ArtifactError: the file is missing, damaged, or lacks one of the columns.
    """
    with _open_shard(path) as shard:
        schema = _select(shard, columns, path)
    return pa.Table.from_batches(read_batches(path, columns, None), schema=schema)


def read_batches(
    path: Path, columns: list[str] | None, split: str | None
) -> Iterator[pa.RecordBatch]:
    """One shard in batches, with the named columns or all of them, of one split or of all.

    Raises:
        ArtifactError: the file is missing, damaged, or lacks one of the columns.
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"split {split!r} is none of {', '.join(SPLITS)}")
    with _open_shard(path) as shard:
        names = _select(shard, columns, path).names
        wanted = columns if columns is None else list({*columns, "split"} if split else columns)
        try:
            for group in range(shard.num_row_groups):  # one at a time: they bound the memory
                for batch in shard.iter_batches(_BATCH_ROWS, [group], columns=wanted):
                    kept = batch.filter(pc.equal(batch["split"], split)) if split else batch
                    if kept.num_rows:
                        yield kept.select(names)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, error) from None


def _open_shard(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def _select(shard: pq.ParquetFile, columns: list[str] | None, path: Path) -> pa.Schema:
    schema = shard.schema_arrow
    if columns is None:
        return schema
    absent = [name for name in columns if name not in schema.names]
    if absent:
        raise ArtifactError(
            f"{path} has no column {absent[0]!r}: its columns are {', '.join(schema.names)}"
        )
    return pa.schema([schema.field(name) for name in columns])


def _damaged(path: Path, error: Exception) -> ArtifactError:
    first_line = str(error).partition("\n")[0]
    return ArtifactError(f"{path} cannot be read ({first_line}): delete the artifact and run again")
