"""Vectors under their names, and the products they are compared by."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import sparse

from tasks.evaluate.vectors import (
    NamedVectors,
    Symmetric,
    cosine_blocks,
    paired_similarities,
    ranked_pairs_of,
    unit_rows,
    vectors_of,
)

ROWS = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32) * (np.arange(12) % 3 == 0)


class Boxes(Symmetric):
    name = "boxes"
    cut_dims = (2,)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        return unit_rows(np.array([[3.0, 4.0, 12.0], [0.0, 0.0, 1.0]])[: len(texts)])


class Lopsided:
    name = "lopsided"
    cut_dims: Sequence[int] = ()

    def vectors(self, texts: Sequence[str]) -> sparse.csr_matrix:
        return sparse.csr_matrix([[0.0, 2.0]] * len(texts))

    def query_vectors(self, texts: Sequence[str]) -> sparse.csr_matrix:
        return sparse.csr_matrix([[1.0, 3.0]] * len(texts))


def test_shortened_vectors_are_normalised_again_under_their_own_name() -> None:
    whole, cut = vectors_of(Boxes(), ["a", "b"])
    assert isinstance(whole, NamedVectors)
    assert (whole.system, cut.system) == ("boxes", "boxes_dim_2")
    np.testing.assert_allclose(cut.vectors, [[0.6, 0.8], [0, 0]])


def test_pairs_are_shortened_on_both_sides() -> None:
    whole, cut = ranked_pairs_of(Boxes(), ["a"], ["a", "b"])
    assert (whole.system, cut.system) == ("boxes", "boxes_dim_2")
    np.testing.assert_allclose(whole.queries @ whole.candidates.T, [[1, 12 / 13]])
    np.testing.assert_allclose(cut.queries @ cut.candidates.T, [[1, 0]])


def test_a_system_may_ask_otherwise_than_it_answers() -> None:
    (pair,) = ranked_pairs_of(Lopsided(), ["q"], ["a", "b", "c"])
    assert (pair.queries @ pair.candidates.T).toarray().tolist() == [[6.0, 6.0, 6.0]]
    (alone,) = vectors_of(Lopsided(), ["a"])
    assert alone.vectors.toarray().tolist() == [[0.0, 1.0]]


def test_unit_rows_are_the_same_dense_and_sparse() -> None:
    with_zero = np.concatenate([ROWS, np.zeros((1, 12), dtype=np.float32)])
    scaled = unit_rows(sparse.csr_matrix(with_zero))
    assert (scaled.format, scaled.dtype) == ("csr", np.float32)
    np.testing.assert_allclose(scaled.toarray(), unit_rows(with_zero), atol=1e-7)
    lengths = np.linalg.norm(unit_rows(with_zero), axis=1)
    np.testing.assert_allclose(lengths, [1] * 30 + [0], atol=1e-6)


def test_sparse_and_dense_similarities_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.evaluate.vectors._BLOCK_BYTES", 4 * 30 * 7)
    narrow = sparse.csr_matrix(ROWS)
    blocks = list(cosine_blocks(narrow, narrow))
    assert [len(block) for block in blocks] == [7, 7, 7, 7, 2]
    np.testing.assert_allclose(np.concatenate(blocks), ROWS @ ROWS.T, atol=1e-5)
    dense = np.concatenate(list(cosine_blocks(ROWS, ROWS)))
    np.testing.assert_allclose(dense, ROWS @ ROWS.T, atol=1e-5)


def test_similarities_of_pairs_are_the_diagonal() -> None:
    turned = ROWS[::-1].copy()
    expected = np.diag(ROWS @ turned.T)
    np.testing.assert_allclose(paired_similarities(ROWS, turned), expected, atol=1e-5)
    narrow = paired_similarities(sparse.csr_matrix(ROWS), sparse.csr_matrix(turned))
    assert narrow.shape == (30,)
    np.testing.assert_allclose(narrow, expected, atol=1e-5)
