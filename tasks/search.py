"""Finds documents by meaning in a published dataset: like some words, or like one of its documents.

Shape letters: Q queries, D embedding width.
"""

import contextlib
import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.errors import ArtifactError, RequestError
from tasks.conditions import row_filter
from tasks.embedder import Embedder
from tasks.embeddings_dataset import EmbeddingsDataset
from tasks.passages import best_passage, texts_of
from tasks.vector_index import (
    ApproximateIndex,
    Nearest,
    Rows,
    Vectors,
    blocks_of,
    nearest_of_blocks,
)

MAX_EXACT_ROWS = 1_000_000
_IDENTITY_COLUMNS = frozenset({"doc_id", "content_sha256"})
_NUM_NEAR_IDS = 3
_MAX_COMPARED_IDS = 2000


@dataclass(frozen=True)
class Hit:
    """A document found.

    Attributes:
        doc_id: the dataset's id.
        score: cosine to the query, in [-1, 1].
        title: the user's title column, where one was named and the document has one.
        text: the passage of the document that shares most words with the query, at most about 200
            characters; None where the corpus no longer has the document.
        columns: split, token and window counts and the user's metadata, as JSON values: bytes in
            hexadecimal, times and whatever else JSON has no form for as text.
    """

    doc_id: str
    score: float
    title: str | None
    text: str | None
    columns: dict[str, Any]


class Searcher:
    """Answers queries from a dataset.

    Up to `max_exact_rows` rows every answer is exact: from memory after `load`, which is for many
    queries, else in one pass over the files with 16 MB of vectors in memory. Above, an index
    answers (see `tasks.vector_index.ApproximateIndex`), except where conditions choose rows: these
    are compared exactly, in one pass over the files.

    Args:
        dataset: the rows.
        embedder: folder of the tune artifact that made the vectors.
        corpus: folder of the ingest artifact that the dataset was made from.
        max_exact_rows: the largest dataset that is searched without an index.
        index_file: where the index of a larger one is kept; it is made there at the first query,
            and only for this dataset. None makes it in memory.
    """

    def __init__(
        self,
        dataset: EmbeddingsDataset,
        embedder: Path,
        corpus: Path,
        *,
        max_exact_rows: int = MAX_EXACT_ROWS,
        index_file: Path | None = None,
    ) -> None:
        self.dataset = dataset
        self._embedder_folder = embedder
        self._corpus_folder = corpus
        self._is_exact = dataset.num_rows <= max_exact_rows
        self._index_file = index_file
        self._vectors: Vectors | None = None

    @classmethod
    def open(
        cls,
        *,
        dataset: Path,
        embedder: Path,
        corpus: Path,
        max_exact_rows: int = MAX_EXACT_ROWS,
        index_file: Path | None = None,
    ) -> Self:
        """A searcher of a dataset's folder. Vectors, ids and weights are read when first needed.

        Raises:
            ArtifactError: the dataset was made with another embedder, or a file is missing or
                damaged; also from every other member.
        """
        rows = EmbeddingsDataset.open(dataset, embedder)
        return cls(rows, embedder, corpus, max_exact_rows=max_exact_rows, index_file=index_file)

    def like_texts(
        self, queries: Sequence[str], k: int, *, where: Sequence[str] = ()
    ) -> list[list[Hit]]:
        """The k documents nearest to each query, best first; equal scores in corpus order.

        Args:
            queries: words or whole texts.
            k: how many hits, at least 1; fewer where fewer rows are wanted.
            where: conditions that all must hold, as `tasks.conditions.row_filter` reads them.

        Raises:
            RequestError: a condition is wrong.
        """
        with self._of_one_state():
            rows = self._rows_where(where)
            found = self._nearest(self._encode(queries), k, rows)
            return self._hits(found, queries)

    def like_vectors(self, queries_QD: Vectors, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """The k documents nearest to unit vectors, for who has encoded the queries already.

        Args:
            queries_QD: float32.
            queries: their words, for the snippets.
            k: how many hits.
        """
        with self._of_one_state():
            return self._hits(self._nearest(queries_QD, k, None), queries)

    def load(self) -> None:
        """Read what queries would wait for: the vectors, or the index of a large dataset, and ids.

        Memory: 4 bytes a number of all vectors, where there is no index.
        """
        if self._is_exact:
            self._vectors = self.dataset.vectors()
        else:
            _ = self._index
        _ = self._ids, self._hashes

    def like_document(self, doc_id: str, k: int, *, where: Sequence[str] = ()) -> list[Hit]:
        """The k documents nearest to one of the dataset, without it and its equals in content.

        Raises:
            RequestError: the dataset has no such id, or a condition is wrong.
        """
        with self._of_one_state():
            rows = self._rows_where(where)
            row = self.row_of(doc_id)
            [own] = self.dataset.rows([row])
            same = _rows_equal(self._hashes, own["content_sha256"])
            [found] = self._nearest(self.dataset.vector(row)[None], k + len(same), rows)
            text = texts_of(self._corpus_folder, {own["content_sha256"]}).by_hash
            return self._hits([found.without(same, k)], list(text.values()) or [""])[0]

    def row_of(self, doc_id: str) -> int:
        """The row of a document.

        Raises:
            RequestError: the dataset has no such id; the message names near ones.
        """
        row: int = pc.index(self._ids, pa.scalar(doc_id, self._ids.type)).as_py()
        if row < 0:
            near = _near_ids(doc_id, self._ids)
            hint = f"did you mean {' or '.join(near)}?" if near else "the dataset has no such id"
            raise RequestError(f"there is no document {doc_id!r}: {hint}")
        return row

    @cached_property
    def embedder(self) -> Embedder:
        """What made the vectors."""
        return Embedder.load(self._embedder_folder)

    @cached_property
    def _index(self) -> ApproximateIndex:
        file, num_rows, dim = self._index_file, self.dataset.num_rows, self.dataset.dim
        if file and file.exists():
            return ApproximateIndex.read(file, num_rows, dim)
        index = ApproximateIndex.build(self.dataset.blocks, num_rows, dim)
        if file:
            index.write(file)
            # An erasure rewrites the dataset first and deletes its index then: what is written
            # after that is seen here, what is written before is deleted there.
            if not self.dataset.is_as_opened:
                file.unlink(missing_ok=True)
        return index

    @contextlib.contextmanager
    def _of_one_state(self) -> Iterator[None]:
        """Nothing is answered from a dataset of which some was read before an erasure and some
        after it; what goes wrong in between says nothing of the files either."""
        try:
            yield
        except RequestError:
            raise
        except (ArtifactError, ValueError, LookupError):
            self._refuse_rewritten()
            raise
        self._refuse_rewritten()

    def _refuse_rewritten(self) -> None:
        if not self.dataset.is_as_opened:
            raise ArtifactError(
                "the dataset was rewritten or deleted while it was searched: search again"
            )

    @cached_property
    def _ids(self) -> pa.ChunkedArray:
        return self.dataset.columns(["doc_id"])["doc_id"]

    @cached_property
    def _hashes(self) -> pa.ChunkedArray:
        return self.dataset.columns(["content_sha256"])["content_sha256"]

    def _encode(self, queries: Sequence[str]) -> Vectors:
        queries_QD = self.embedder.encode_texts(queries)
        if queries_QD.shape[1] != self.dataset.dim:
            raise ArtifactError(
                f"the dataset holds vectors of {self.dataset.dim} numbers, the embedder makes "
                f"{queries_QD.shape[1]}: run export again"
            )
        return queries_QD

    def _rows_where(self, where: Sequence[str]) -> Rows | None:
        """Ascending numbers of the rows wanted; None: all of them."""
        wanted = row_filter(where, self.dataset.schema)
        if wanted is None:
            return None
        return _rows_of(self.dataset.columns(wanted.columns), wanted.expression)

    def _nearest(self, queries_QD: Vectors, k: int, rows: Rows | None) -> list[Nearest]:
        if not self._is_exact and rows is None:
            return self._index.nearest(queries_QD, k)
        if self._vectors is not None:
            return nearest_of_blocks(blocks_of(self._vectors, rows), queries_QD, k)
        blocks = self.dataset.blocks() if rows is None else self.dataset.blocks_at(rows)
        return nearest_of_blocks(blocks, queries_QD, k)

    def _hits(self, found: Sequence[Nearest], queries: Sequence[str]) -> list[list[Hit]]:
        numbers = sorted({int(row) for nearest in found for row in nearest.rows})
        rows = dict(zip(numbers, self.dataset.rows(numbers), strict=True))
        texts = texts_of(self._corpus_folder, {row["content_sha256"] for row in rows.values()})
        return [
            [
                _hit(rows[int(row)], float(score), query, texts.by_hash, texts.title_column)
                for row, score in zip(nearest.rows, nearest.scores, strict=True)
            ]
            for nearest, query in zip(found, queries, strict=True)
        ]


def _rows_of(table: pa.Table, expression: pc.Expression) -> Rows:
    """Ascending numbers of the rows for which the expression is true, not null."""
    number = "".join(table.column_names) + "#"  # a name that no column has
    numbered = table.append_column(number, pa.array(np.arange(table.num_rows)))
    rows: Rows = np.sort(numbered.filter(expression)[number].to_numpy())
    return rows


def _rows_equal(hashes: pa.ChunkedArray, content_sha256: bytes) -> Rows:
    is_same: NDArray[np.bool_] = pc.equal(hashes, pa.scalar(content_sha256, hashes.type)).to_numpy()
    return np.flatnonzero(is_same)


def _near_ids(doc_id: str, ids: pa.ChunkedArray) -> list[str]:
    """A few ids that resemble one. Of many, those are compared that share a beginning or an end."""
    candidates: dict[str, None] = {}
    for size in range(len(doc_id), 0, -1):
        for shares in (pc.starts_with(ids, doc_id[:size]), pc.ends_with(ids, doc_id[-size:])):
            candidates |= dict.fromkeys(ids.filter(shares)[:_MAX_COMPARED_IDS].to_pylist())
        if len(candidates) >= _MAX_COMPARED_IDS:
            break
    return difflib.get_close_matches(doc_id, list(candidates), n=_NUM_NEAR_IDS, cutoff=0.6)


def _hit(
    row: dict[str, Any],
    score: float,
    query: str,
    texts: dict[bytes, str],
    title_column: str | None,
) -> Hit:
    text = texts.get(row["content_sha256"])
    title = row.get(title_column) if title_column else None
    return Hit(
        doc_id=row["doc_id"],
        score=score,
        title=None if title is None else str(title),
        text=None if text is None else best_passage(text, query),
        columns={name: _plain(row[name]) for name in row if name not in _IDENTITY_COLUMNS},
    )


def _plain(value: Any) -> Any:
    """The value in a form that JSON has."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return value.hex()
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case _:
            return str(value)
