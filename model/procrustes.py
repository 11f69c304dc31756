"""Rotates vectors of one embedder onto those of another, each Matryoshka prefix onto its own.

Orthogonal Procrustes, block by block: the numbers of each block are rotated among themselves, so
that lengths and angles of whole vectors stay, and so do those of every prefix that ends where a
block ends.

Shape letters: N documents, D width, B width of a block.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Matrix = NDArray[np.float64]
Block = tuple[int, int]  # first number of a block, and the one after its last


def blocks_between(dims: Sequence[int], width: int) -> list[Block]:
    """The blocks that prefixes of these widths end at: of 64 and 128 in 256, three.

    Args:
        dims: widths at which vectors may be cut; those of the whole width or more count nothing.
        width: of whole vectors, D.
    """
    edges = [0, *sorted({dim for dim in dims if 0 < dim < width}), width]
    return list(pairwise(edges))


class RotationFit:
    """Gathers what the best rotation is computed from, some documents at a time."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        """Nothing gathered yet; memory of B x B numbers a block."""
        self._products = {
            block: np.zeros((block[1] - block[0],) * 2, dtype=np.float64) for block in blocks
        }

    def add(self, moved_ND: Vectors, fixed_ND: Vectors) -> None:
        """Documents by the vectors to rotate and by those to rotate onto, row by row."""
        for (first, end), product_BB in self._products.items():
            moved_NB = moved_ND[:, first:end].astype(np.float64)
            product_BB += moved_NB.T @ fixed_ND[:, first:end].astype(np.float64)

    def rotation(self) -> dict[Block, Matrix]:
        """Of each block the orthogonal matrix that brings its numbers nearest to the others'.

        With U S V^T of the cross product it is U V^T, which makes the sum of squared distances
        smallest. Reflections are allowed. Where there were fewer documents than numbers in a
        block, the directions that nobody spoke of are turned arbitrarily.

        Source: Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem".
        Cost: O(B^3) a block.
        """
        rotations = {}
        for block, product_BB in self._products.items():
            left_BB, _, right_BB = np.linalg.svd(product_BB)
            rotations[block] = left_BB @ right_BB
        return rotations


def rotated(vectors_ND: Vectors, rotation: Mapping[Block, Matrix]) -> Vectors:
    """The vectors with each block's numbers rotated; float32, of unit length again.

    Args:
        vectors_ND: of unit length.
        rotation: of every block, as `RotationFit.rotation` gives it.

    Cost: O(N D B).
    """
    turned_ND = np.empty(vectors_ND.shape, dtype=np.float64)
    for (first, end), rotation_BB in rotation.items():
        turned_ND[:, first:end] = vectors_ND[:, first:end].astype(np.float64) @ rotation_BB
    lengths_N1 = np.linalg.norm(turned_ND, axis=1, keepdims=True)
    unit_ND: Vectors = (turned_ND / np.where(lengths_N1 > 0, lengths_N1, 1)).astype(np.float32)
    return unit_ND
