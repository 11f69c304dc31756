"""Takes vectors of documents whose text is the same from an earlier dataset of the same embedder.

What is taken is what embedding anew would give: a vector depends on the text and the embedder
alone, in float32 to within 1e-5 whatever was embedded beside it. Hence what was there before
changes nothing that a request promises, and stays out of its identity. The last bits of a vector
do follow the batch it was computed in, so two datasets that answer one request, one made anew and
one incrementally, may have different content ids.

Letters: N documents of the earlier dataset, T documents asked for, F of them found, W windows, R
rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.content_hashes import hashes_of
from tasks.export.columns import vector_fields, vector_names
from tasks.export.config import ExportConfig
from tasks.export.parts import PART_PREFIX, chunk_name, part_name, read_rows
from tasks.export.tables import Vectors, places_within
from tasks.export.vectors import stored_vectors, vector_columns

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Places:
    """Where an earlier dataset has which content.

    Attributes:
        hashes_N: bytes, the documents' content hashes, ascending.
        parts_N, rows_N: the part that each lies in, and its row there.
        num_windows_N: windows of each.
        first_chunks_N: row of its first window in the chunk file beside the part.
    """

    hashes_N: NDArray[np.bytes_]
    parts_N: NDArray[np.int64]
    rows_N: NDArray[np.int64]
    num_windows_N: NDArray[np.int64]
    first_chunks_N: NDArray[np.int64]

    @classmethod
    def read(cls, folder: Path, num_parts: int) -> Self:
        """Find every row of a dataset; 64 bytes of memory each.

        Raises:
            OSError, pa.ArrowException: a file is missing or damaged.
        """
        columns: list[list[NDArray[np.generic]]] = []
        for part in range(num_parts):
            table = _read(folder / part_name(part), ["content_sha256", "n_windows"])
            num_windows = table["n_windows"].to_numpy().astype(np.int64)
            rows = np.arange(table.num_rows)
            first_chunks = np.cumsum(num_windows) - num_windows
            hashes = hashes_of(table["content_sha256"])
            columns.append([hashes, np.full_like(rows, part), rows, num_windows, first_chunks])
        joined = [np.concatenate(column) for column in zip(*columns, strict=True)]
        order = np.argsort(joined[0], kind="stable")  # of duplicates the first is found
        return cls(*(column[order] for column in joined))

    def at(self, indices: NDArray[np.int64]) -> Self:
        """The places at those indices."""
        return type(self)(*(column[indices] for column in vars(self).values()))

    def find(self, hashes_T: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """For each content its index here; -1 where it is new."""
        if not len(self.hashes_N):
            return np.full(len(hashes_T), -1)
        indices_T = np.searchsorted(self.hashes_N, hashes_T).clip(max=len(self.hashes_N) - 1)
        return np.where(self.hashes_N[indices_T] == hashes_T, indices_T, -1)


class EarlierDataset:
    """A verified dataset that can feed another one; any thread may take from it.

    Args:
        folder: of an export artifact; kept as an attribute.
        about: what its dataset.json says.
        config: of the dataset to be made.
        warn: told when it cannot be read after all; its documents are then embedded anew.
    """

    def __init__(
        self, folder: Path, about: Mapping[str, Any], config: ExportConfig, warn: Warn
    ) -> None:
        self.folder = folder
        self._config = config
        self._warn = warn
        self._is_float32 = about["dtype"] == "float32"
        self._places: Places | None = None
        num_parts = sum(name.startswith(PART_PREFIX) for name in about["files"])
        try:
            self._places = Places.read(folder, num_parts)
        except (OSError, pa.ArrowException) as error:
            self._give_up(error)

    def take(self, hashes_T: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], Vectors | None]:
        """The vectors of those contents that are here.

        Returns:
            Places among `hashes_T` of what was found, ascending, and the vectors in that order;
            None where there is nothing.

        Cost: reads the row groups that hold them, page checksums verified.
        """
        places = self._places
        if places is not None:
            indices_T = places.find(hashes_T)
            found_F = np.flatnonzero(indices_T >= 0)
            try:
                if len(found_F):
                    return found_F, self._vectors(places.at(indices_T[found_F]))
            except (OSError, pa.ArrowException) as error:  # removed or damaged since verified
                self._give_up(error)
        return np.empty(0, dtype=np.int64), None

    def _vectors(self, places: Places) -> Vectors:
        counts = ["n_tokens", "n_windows"]
        documents = self._rows(part_name, places.parts_N, places.rows_N, counts)
        if self._config.level == "document":
            return Vectors(documents, None)
        parts_W = np.repeat(places.parts_N, places.num_windows_N)
        within_W = places_within(places.num_windows_N)
        rows_W = np.repeat(places.first_chunks_N, places.num_windows_N) + within_W
        chunks = self._rows(chunk_name, parts_W, rows_W, ["chunk_index", "start_token", "n_tokens"])
        assert np.array_equal(chunks["chunk_index"].to_numpy(), within_W)
        return Vectors(documents, chunks.drop_columns("chunk_index"))

    def _rows(
        self,
        name_of: Callable[[int], str],
        parts_R: NDArray[np.int64],
        rows_R: NDArray[np.int64],
        names: Sequence[str],
    ) -> pa.Table:
        """Rows of several files, in the order asked for: columns `names`, then the vectors'."""
        wanted = [*names, *(["embedding"] if self._is_float32 else vector_names(self._config))]
        order_R = np.lexsort((rows_R, parts_R))
        parts_R, rows_R = parts_R[order_R], rows_R[order_R]
        tables = [
            read_rows(self.folder / name_of(int(part)), rows_R[parts_R == part], wanted)
            for part in np.unique(parts_R)
        ]
        found = pa.concat_tables(tables).take(pa.array(np.argsort(order_R)))
        counts = {name: found[name] for name in names}
        return pa.table(counts | self._forms(found))

    def _forms(self, found: pa.Table) -> dict[str, pa.ChunkedArray]:
        """The vectors in the forms wanted, made from float32 as those of fresh ones are."""
        if self._is_float32:
            return vector_columns(stored_vectors(found["embedding"]), self._config)
        dim = found.schema.field("embedding").type.list_size
        # Files call a list's numbers "element", Arrow's own arrays "item".
        return {
            field.name: found[field.name].cast(field.type)
            for field in vector_fields(dim, self._config)
        }

    def _give_up(self, error: Exception) -> None:
        first_line = str(error).partition("\n")[0]
        self._places = None
        self._warn(
            f"the earlier dataset {self.folder} cannot be read ({first_line}): its documents are "
            "embedded anew"
        )


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    return pq.read_table(path, columns=list(columns), page_checksum_verification=True)
