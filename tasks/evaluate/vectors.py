"""Document vectors of any system, dense or sparse, and how similar they are.

Shape letters: N documents, D dimensions, Q queries, C candidates.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from model.retrieval import Floats, similarity_blocks

Vectors = Any  # float32 [N, D]: an ndarray, or CSR where D is a vocabulary

_BLOCK_BYTES = 64 * 2**20


class System(Protocol):
    """Something that turns texts into vectors and is to be scored.

    How well a text answers a query is the dot product of the query's row of `query_vectors` and
    the text's row of `vectors`, and nothing else.
    """

    @property
    def name(self) -> str:
        """Its name in the tables."""

    @property
    def cut_dims(self) -> Sequence[int]:
        """Shorter widths at which the same vectors are scored too; only of dense systems."""

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """One row for each text, as what is found; zero where the text says nothing to it."""

    def query_vectors(self, texts: Sequence[str]) -> Vectors:
        """One row for each text, as what is asked with; as wide as `vectors`."""


class Symmetric(ABC):
    """A system that asks with the vector by which the same text is found."""

    @abstractmethod
    def vectors(self, texts: Sequence[str]) -> Vectors:
        """As `System.vectors`; rows of unit length, or zero."""

    def query_vectors(self, texts: Sequence[str]) -> Vectors:
        """The same as `vectors`."""
        return self.vectors(texts)


@dataclass(frozen=True)
class NamedVectors:
    """Vectors under the name that their scores will carry."""

    system: str
    vectors: Vectors


@dataclass(frozen=True)
class NamedPair:
    """Queries [Q, D] and candidates [C, D] under the name that their scores will carry."""

    system: str
    queries: Vectors
    candidates: Vectors


def vectors_of(system: System, texts: Sequence[str]) -> Iterator[NamedVectors]:
    """The system's vectors of the texts, then its shortened ones as ``name_dim_64``.

    For tasks that take each text by itself: all rows have unit length, or are zero.
    """
    vectors = system.vectors(texts)
    yield NamedVectors(system.name, unit_rows(vectors))
    for dim in system.cut_dims:
        yield NamedVectors(_cut_name(system, dim), unit_rows(vectors[:, :dim]))


def ranked_pairs_of(
    system: System, queries: Sequence[str], candidates: Sequence[str]
) -> Iterator[NamedPair]:
    """Vectors to rank candidates for queries by, then the shortened ones as ``name_dim_64``.

    For tasks that compare texts: the rows are as the system makes them, so that their dot products
    are its similarities; shortened rows have unit length.
    """
    yield from with_cuts(system, system.query_vectors(queries), system.vectors(candidates))


def with_cuts(system: System, asked: Vectors, found: Vectors) -> Iterator[NamedPair]:
    """The system's vectors of queries and candidates, then the shortened ones."""
    yield NamedPair(system.name, asked, found)
    for dim in system.cut_dims:
        cut = unit_rows(asked[:, :dim]), unit_rows(found[:, :dim])
        yield NamedPair(_cut_name(system, dim), *cut)


def unit_rows(vectors_ND: Vectors) -> Vectors:
    """Rows scaled to length 1, dense or CSR as they came; a row of zeros stays one."""
    if sparse.issparse(vectors_ND):
        lengths_N = sparse.linalg.norm(vectors_ND, axis=1)
        scales_N = 1 / np.where(lengths_N > 0, lengths_N, 1)
        return (sparse.diags_array(scales_N.astype(vectors_ND.dtype)) @ vectors_ND).tocsr()
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return vectors_ND / np.where(lengths_N1 > 0, lengths_N1, 1)


def paired_similarities(queries: Vectors, candidates: Vectors) -> NDArray[np.float32]:
    """Dot product of query n with candidate n, float32 [N], dense or CSR."""
    if sparse.issparse(queries):
        sums_N = np.asarray(queries.multiply(candidates).sum(axis=1)).reshape(-1)
    else:
        sums_N = np.einsum("nd,nd->n", queries, candidates)
    return sums_N.astype(np.float32)


def cosine_blocks(queries: Vectors, candidates: Vectors) -> Iterator[Floats]:
    """Dot products, of unit rows cosines, as dense float32 blocks [queries in the block, C]."""
    rows_per_block = max(1, _BLOCK_BYTES // (4 * candidates.shape[0]))
    if not sparse.issparse(queries):
        yield from similarity_blocks(queries, candidates, rows_per_block=rows_per_block)
        return
    candidates_DC = candidates.T.tocsr()
    for start in range(0, queries.shape[0], rows_per_block):
        yield (queries[start : start + rows_per_block] @ candidates_DC).toarray()


def _cut_name(system: System, dim: int) -> str:
    return f"{system.name}_dim_{dim}"
