"""Two embeddings datasets side by side: the rows of documents that both have.

A document is its text: one that was renamed is the same, one that was edited is another, and of
duplicates in a dataset the first row counts.

Shape letters: C common documents, N rows of a block, Q some of the common documents, D width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tasks.embeddings_dataset import EmbeddingsDataset
from tasks.vector_index import Block, Rows, Vectors, nearest_of_blocks


@dataclass(frozen=True)
class OneSide:
    """A dataset whose common documents have numbers, the same as on the other side.

    Attributes:
        dataset: all its rows.
        rows_C: of the common documents, in the order of their numbers.
    """

    dataset: EmbeddingsDataset
    rows_C: Rows

    @cached_property
    def _numbers(self) -> Rows:
        """Of every row its common number; -1 where it has none."""
        numbers = np.full(self.dataset.num_rows, -1, dtype=np.int64)
        numbers[self.rows_C] = np.arange(len(self.rows_C))
        return numbers

    def blocks(self) -> Iterator[Block]:
        """Common numbers and vectors, in the dataset's own order, some at a time."""
        for rows_N, vectors_ND in self.dataset.blocks():
            numbers_N = self._numbers[rows_N]
            is_common_N = numbers_N >= 0
            if is_common_N.any():
                yield numbers_N[is_common_N], vectors_ND[is_common_N]

    def vectors_of(self, numbers_Q: Rows) -> Vectors:
        """Vectors of some common documents, float32 [Q, D]; cost one pass over all."""
        places_C = np.full(len(self.rows_C), -1, dtype=np.int64)
        places_C[numbers_Q] = np.arange(len(numbers_Q))
        found_QD = np.empty((len(numbers_Q), self.dataset.dim), dtype=np.float32)
        for numbers_N, vectors_ND in self.blocks():
            places_N = places_C[numbers_N]
            is_asked_N = places_N >= 0
            found_QD[places_N[is_asked_N]] = vectors_ND[is_asked_N]
        return found_QD

    def neighbours(self, numbers_Q: Rows, k: int) -> Rows:
        """The k nearest other common documents of each, int64 [Q, k], exactly, block by block."""
        return self.nearest(self.vectors_of(numbers_Q), numbers_Q, k)

    def nearest(self, queries_QD: Vectors, numbers_Q: Rows, k: int) -> Rows:
        """The k common documents nearest to each query, but for the one of the query's number;
        fewer where there are fewer."""
        found = nearest_of_blocks(self.blocks(), queries_QD, k + 1)
        without = [
            nearest.without(np.array([number]), k).rows
            for nearest, number in zip(found, numbers_Q, strict=True)
        ]
        return np.stack(without)


@dataclass(frozen=True)
class CommonRows:
    """The documents that two datasets have, numbered in the order of the first.

    Attributes:
        first, second: the datasets.
        doc_ids: of the common documents, by their names in the first.
        splits: theirs in the first.
    """

    first: OneSide
    second: OneSide
    doc_ids: list[str]
    splits: NDArray[np.str_]

    @classmethod
    def of(cls, first: EmbeddingsDataset, second: EmbeddingsDataset) -> Self:
        """Find them by the SHA-256 of their text.

        Raises:
            ArtifactError: a dataset is damaged.

        Cost: a few columns of both datasets in memory, and no vector.
        """
        rows_of_second = _first_rows(second)
        shared = {
            sha256: row for sha256, row in _first_rows(first).items() if sha256 in rows_of_second
        }
        rows_C = np.fromiter(shared.values(), dtype=np.int64, count=len(shared))
        others = (rows_of_second[sha256] for sha256 in shared)
        others_C = np.fromiter(others, dtype=np.int64, count=len(shared))
        about = first.columns(["doc_id", "split"]).take(rows_C)
        return cls(
            OneSide(first, rows_C),
            OneSide(second, others_C),
            about["doc_id"].to_pylist(),
            np.array(about["split"].to_pylist(), dtype=np.str_),
        )

    @property
    def num_documents(self) -> int:
        """How many there are."""
        return len(self.doc_ids)


def sample_of(numbers: Rows, max_documents: int, seed: int) -> Rows:
    """At most so many of them, drawn by the seed, ascending; all where there are no more."""
    if len(numbers) <= max_documents:
        return numbers
    picked = np.random.default_rng(seed).choice(numbers, size=max_documents, replace=False)
    return np.sort(picked)


def _first_rows(dataset: EmbeddingsDataset) -> dict[bytes, int]:
    rows: dict[bytes, int] = {}
    hashes = dataset.columns(["content_sha256"])["content_sha256"].to_pylist()
    for row, sha256 in enumerate(hashes):
        rows.setdefault(sha256, row)
    return rows
