"""Systems whose vectors can be told by looking at the text."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from tasks.evaluate.vectors import Symmetric, Vectors, unit_rows


class Letters(Symmetric):
    """How often each of the letters a to h stands in a text."""

    name = "letters"

    def __init__(self, cut_dims: Sequence[int] = ()) -> None:
        self.cut_dims = cut_dims

    def vectors(self, texts: Sequence[str]) -> Vectors:
        counts = [[text.count(letter) for letter in "abcdefgh"] for text in texts]
        return unit_rows(np.array(counts, np.float32))


class SparseLetters(Letters):
    """The same as CSR."""

    name = "sparse"

    def vectors(self, texts: Sequence[str]) -> Vectors:
        return sparse.csr_matrix(super().vectors(texts))


class Blind(Symmetric):
    """Every text alike."""

    name = "blind"
    cut_dims: Sequence[int] = ()

    def vectors(self, texts: Sequence[str]) -> Vectors:
        return np.ones((len(texts), 1), np.float32)


class Shouting:
    """Asks in capital letters and is found by them in lower case: not symmetric."""

    name = "shouting"
    cut_dims: Sequence[int] = ()

    def vectors(self, texts: Sequence[str]) -> Vectors:
        return Letters().vectors(texts)

    def query_vectors(self, texts: Sequence[str]) -> Vectors:
        return Letters().vectors([text.swapcase() for text in texts])
