"""Reads an embeddings dataset, the document-level files that export makes: vectors and columns.

A row's number counts from 0 over all files in their order, which is corpus order.
Shape letters: N rows of a block, D embedding width.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.errors import ArtifactError
from model.json_files import parse_json
from tasks.export.parts import METADATA_KEY, read_rows
from tasks.store.manifest import read_manifest
from tasks.vector_index import BLOCK_BYTES, Block, Rows, Vectors

VECTOR_COLUMNS = frozenset({"embedding", "embedding_int8", "scale", "embedding_binary"})
_ROWS_AT_ONCE = 2**16

Seen = tuple[int, int, int] | None  # inode, bytes, time of the last change


class EmbeddingsDataset:
    """The rows of an export artifact; nothing is read before it is asked for.

    Page checksums are verified by every reader.

    Raises:
        ArtifactError: from any member, where a file is missing or damaged.
    """

    def __init__(self, parts: Sequence[Path], seen: Sequence[Seen] = ()) -> None:
        """What was `seen` of the files before they were read first, if that matters."""
        self._parts = parts
        self._seen = seen

    @classmethod
    def open(cls, folder: Path, embedder: Path) -> Self:
        """The dataset in a folder.

        Args:
            folder: of an export artifact.
            embedder: folder of the tune artifact that must have made the vectors.

        Raises:
            ArtifactError: it was made with another embedder, so its vectors and those of new texts
                cannot be compared; or a file is missing or damaged.
        """
        seen = _seen_of(_names(folder))
        described = _described(folder)
        _refuse_other_embedder(described, embedder)
        return cls(list(described), seen)

    @property
    def is_as_opened(self) -> bool:
        """Whether the files are still those that were opened: an erasure puts others in their
        places, with fewer rows under other numbers."""
        return _seen_of(self._parts) == self._seen

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns, the vectors' included."""
        with _opened(self._parts[0]) as part:
            schema = part.schema_arrow
        names = {"doc_id", "content_sha256", "embedding"}
        if not names <= {*schema.names} or not pa.types.is_fixed_size_list(
            schema.field("embedding").type
        ):
            _raise_damaged(self._parts[0], ValueError("its columns are not those of embeddings"))
        return schema

    @cached_property
    def dim(self) -> int:
        """Width D of a vector."""
        dim: int = self.schema.field("embedding").type.list_size
        return dim

    @cached_property
    def first_rows(self) -> NDArray[np.int64]:
        """Number of the first row of each file, then the number of all rows."""
        counts = []
        for path in self._parts:
            with _opened(path) as part:
                counts.append(part.metadata.num_rows)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @property
    def num_rows(self) -> int:
        """Rows of all files."""
        return int(self.first_rows[-1])

    def blocks(self) -> Iterator[Block]:
        """All vectors in row order, float32, 16 MB at a time."""
        first = 0
        for path in self._parts:
            for batch in _batches(path, ["embedding"], max(1, BLOCK_BYTES // (4 * self.dim))):
                vectors_ND = self._vectors(batch.column("embedding"), path)
                yield np.arange(first, first + len(vectors_ND)), vectors_ND
                first += len(vectors_ND)

    def blocks_at(self, rows: Rows) -> Iterator[Block]:
        """The vectors of some rows, which ascend; cost one pass over all vectors."""
        for block_rows, vectors_ND in self.blocks():
            low, high = np.searchsorted(rows, [block_rows[0], block_rows[-1] + 1])
            if high > low:
                wanted = rows[low:high]
                yield wanted, vectors_ND[wanted - block_rows[0]]

    def vectors(self) -> Vectors:
        """All vectors, float32 [num_rows, D]; that much memory."""
        vectors = np.empty((self.num_rows, self.dim), dtype=np.float32)
        for rows, vectors_ND in self.blocks():
            vectors[rows] = vectors_ND
        return vectors

    def columns(self, names: Sequence[str]) -> pa.Table:
        """The named columns of all rows."""
        schema = pa.schema([self.schema.field(name) for name in names])
        batches = (
            batch.select(list(names)).cast(schema)
            for path in self._parts
            for batch in _batches(path, list(names), _ROWS_AT_ONCE)
        )
        return pa.Table.from_batches(batches, schema)

    def rows(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """These rows in the order asked for, every column but the vectors, as Python values.

        Cost: the row groups that hold them, one at a time.
        """
        names = [name for name in self.schema.names if name not in VECTOR_COLUMNS]
        wanted = np.unique(np.asarray(numbers, dtype=np.int64))
        rows = [row for _, table in self._tables(wanted, names) for row in table.to_pylist()]
        found = dict(zip(wanted.tolist(), rows, strict=True))
        return [found[number] for number in numbers]

    def vector(self, row: int) -> Vectors:
        """One row's vector, float32 [D]; cost the row group that holds it."""
        [(path, table)] = self._tables(np.array([row]), ["embedding"])
        vector_D: Vectors = self._vectors(table["embedding"].combine_chunks(), path)[0]
        return vector_D

    def _tables(self, wanted: Rows, names: list[str]) -> Iterator[tuple[Path, pa.Table]]:
        """The files with rows of ascending numbers, and these rows."""
        edges = zip(self._parts, self.first_rows[:-1], self.first_rows[1:], strict=True)
        for path, first, last in edges:
            inside = wanted[(wanted >= first) & (wanted < last)]
            if len(inside):
                yield path, _rows_of_part(path, inside - first, names)

    def _vectors(self, column: pa.Array, path: Path) -> Vectors:
        if column.type.list_size != self.dim:
            raise ArtifactError(
                f"{path} holds vectors of {column.type.list_size} numbers, the first file of "
                f"{self.dim}: run export again"
            )
        flat: NDArray[np.floating] = column.flatten().to_numpy(zero_copy_only=False)
        return flat.astype(np.float32, copy=False).reshape(len(column), self.dim)


def _rows_of_part(path: Path, numbers: Rows, names: list[str]) -> pa.Table:
    """Rows of one file by their ascending numbers in it."""
    try:
        return read_rows(path, numbers, names)
    except (OSError, pa.ArrowException) as error:
        _raise_damaged(path, error)


def _batches(path: Path, names: list[str], num_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as part:
            yield from part.iter_batches(num_rows, columns=names)
    except (OSError, pa.ArrowException) as error:
        _raise_damaged(path, error)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        _raise_damaged(path, error)


def _raise_damaged(path: Path, error: Exception) -> NoReturn:
    first_line = str(error).partition("\n")[0]
    raise ArtifactError(
        f"{path} cannot be read ({first_line}): delete the artifact and run export again"
    ) from None


def parts_of(folder: Path) -> list[Path]:
    """The files of a dataset, in order.

    Raises:
        ArtifactError: one of them is missing or damaged.
    """
    return list(_described(folder))


def _described(folder: Path) -> dict[Path, dict[str, Any]]:
    """Every file of the dataset, in order, and what it says of itself."""
    described = {part: _description(part) for part in _names(folder)}
    if not described:
        raise ArtifactError(f"{folder} holds no part-*.parquet: run export again")
    num_shards = next(iter(described.values())).get("num_shards")
    shards = [description.get("shard") for description in described.values()]
    if num_shards != len(shards) or any(shard not in shards for shard in range(len(shards))):
        raise ArtifactError(
            f"{folder} holds {len(described)} of {num_shards} parts: run export again"
        )
    return described


def _names(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _seen_of(parts: Sequence[Path]) -> list[Seen]:
    """What tells each file from another that is put in its place; None where there is none."""
    return [_seen(part) for part in parts]


def _seen(part: Path) -> Seen:
    try:
        found = part.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _refuse_other_embedder(described: Mapping[Path, Mapping[str, Any]], embedder: Path) -> None:
    given = read_manifest(embedder).content_id
    for part, description in described.items():
        if description.get("embedder_id") != given:
            raise ArtifactError(
                f"{part} was made with embedder {description.get('embedder_id')}, {embedder} is "
                f"{given}: vectors of two embedders cannot be compared; search with the one it was "
                "made with, or run export"
            )


def _description(part: Path) -> dict[str, Any]:
    try:
        description = parse_json((pq.read_schema(part).metadata or {})[METADATA_KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise ArtifactError(
            f"{part} does not say which embedder made it ({error}): run export again"
        ) from None
    if not isinstance(description, dict):
        raise ArtifactError(f"{part} does not say which embedder made it: run export again")
    return description
