"""Document vectors of any system, dense or sparse, and how similar they are.

Shape letters: N documents, D dimensions, Q queries, C candidates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from model.retrieval import Floats, similarity_blocks

Vectors = Any  # float32 [N, D] with rows of unit length: an ndarray, or CSR where D is a vocabulary

_BLOCK_BYTES = 64 * 2**20


class System(Protocol):
    """Something that turns texts into vectors and is to be scored."""

    @property
    def name(self) -> str:
        """Its name in the tables."""

    @property
    def cut_dims(self) -> Sequence[int]:
        """Shorter widths at which the same vectors are scored too."""

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """One row of unit length for each text."""


@dataclass(frozen=True)
class NamedVectors:
    """Vectors under the name that their scores will carry."""

    system: str
    vectors: Vectors


def vectors_of(system: System, texts: Sequence[str]) -> Iterator[NamedVectors]:
    """The system's vectors of the texts, then its shortened ones as ``name_dim_64``."""
    vectors = system.vectors(texts)
    yield NamedVectors(system.name, vectors)
    for dim in system.cut_dims:
        yield NamedVectors(f"{system.name}_dim_{dim}", unit_rows(vectors[:, :dim]))


def unit_rows(vectors_ND: Floats) -> Floats:
    """Rows scaled to length 1; a row of zeros stays one."""
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return vectors_ND / np.where(lengths_N1 > 0, lengths_N1, 1)


def cosine_blocks(queries: Vectors, candidates: Vectors) -> Iterator[Floats]:
    """Similarities of unit vectors as dense float32 blocks [queries in the block, C]."""
    rows_per_block = max(1, _BLOCK_BYTES // (4 * candidates.shape[0]))
    if not sparse.issparse(queries):
        yield from similarity_blocks(queries, candidates, rows_per_block=rows_per_block)
        return
    candidates_DC = candidates.T.tocsr()
    for start in range(0, queries.shape[0], rows_per_block):
        yield (queries[start : start + rows_per_block] @ candidates_DC).toarray()
