"""Nearest vectors against all products; the index's recall, its file, and what damages it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.errors import ArtifactError
from tasks.vector_index import ApproximateIndex, Block, Nearest, blocks_of, nearest_of_blocks


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(num_rows: int, dim: int, seed: int, num_centres: int = 200) -> np.ndarray:
    """Vectors in overlapping clusters, as those of documents with topics are."""
    centres = np.random.default_rng(0).normal(size=(num_centres, dim))
    draw = np.random.default_rng(seed)
    noise = draw.normal(size=(num_rows, dim))
    return unit(centres[draw.integers(num_centres, size=num_rows)] + noise)


def in_blocks(vectors: np.ndarray, size: int) -> Iterator[Block]:
    for start in range(0, len(vectors), size):
        block = vectors[start : start + size]
        yield np.arange(start, start + len(block)), block


def build(vectors: np.ndarray) -> ApproximateIndex:
    return ApproximateIndex.build(lambda: in_blocks(vectors, 1000), *vectors.shape)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("k", [1, 10, 500])
def test_the_nearest_are_those_of_all_products(k: int, size: int) -> None:
    vectors, queries = clustered(300, 16, 1), clustered(3, 16, 2)
    scores = vectors.astype(np.float64) @ queries.astype(np.float64).T
    for number, found in enumerate(nearest_of_blocks(in_blocks(vectors, size), queries, k)):
        np.testing.assert_array_equal(found.rows, np.argsort(-scores[:, number])[:k])
        np.testing.assert_allclose(found.scores, -np.sort(-scores[:, number])[:k], atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 64])
def test_equal_vectors_come_in_row_order_whatever_the_blocks(size: int) -> None:
    [vector], [other] = clustered(1, 33, 1), clustered(1, 33, 2)
    vectors = np.stack([vector, other] * 20)
    [found] = nearest_of_blocks(in_blocks(vectors, size), vector[None], 15)
    np.testing.assert_array_equal(found.rows, np.arange(0, 30, 2))
    assert len(set(found.scores.tolist())) == 1


def test_blocks_of_some_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.vector_index.BLOCK_BYTES", 4 * 8 * 5)
    vectors = clustered(40, 8, 1)
    rows = np.array([1, 3, 4, 8, 20, 33, 39])
    blocks = list(blocks_of(vectors, rows))
    assert [len(numbers) for numbers, _ in blocks] == [5, 2]
    np.testing.assert_array_equal(np.concatenate([b for _, b in blocks]), vectors[rows])
    np.testing.assert_array_equal(np.concatenate([b for _, b in blocks_of(vectors)]), vectors)


def test_rows_are_left_out_in_order() -> None:
    found = Nearest(np.array([4, 2, 9, 7]), np.array([4, 3, 2, 1], dtype=np.float32))
    left = found.without(np.array([2]), 2)
    assert (left.rows.tolist(), left.scores.tolist()) == ([4, 9], [4.0, 2.0])


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    return clustered(20_000, 32, 1)


def test_the_index_finds_nearly_all_with_exact_scores(many: np.ndarray) -> None:
    queries = clustered(200, 32, 5)
    exact = nearest_of_blocks(blocks_of(many), queries, 10)
    found = build(many).nearest(queries, 10)
    shares = [len(np.intersect1d(e.rows, f.rows)) / 10 for e, f in zip(exact, found, strict=True)]
    assert np.mean(shares) >= 0.95
    for query, hits in zip(queries, found, strict=True):
        np.testing.assert_allclose(hits.scores, many[hits.rows] @ query, atol=1e-5)


def test_the_file_answers_as_the_index_does_and_earlier_ones_go(
    many: np.ndarray, tmp_path: Path
) -> None:
    index, queries = build(many[:3000]), clustered(5, 32, 6)
    folder = tmp_path / "search"
    index.write(folder / "old.faiss")
    index.write(folder / "new.faiss")
    assert [path.name for path in folder.iterdir()] == ["new.faiss"]
    read = ApproximateIndex.read(folder / "new.faiss", 3000, 32)
    for one, other in zip(index.nearest(queries, 7), read.nearest(queries, 7), strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.scores, other.scores)


def test_a_foreign_or_damaged_file_is_refused(many: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "x.faiss"
    build(many[:200]).write(path)
    with pytest.raises(ArtifactError, match="200 vectors of 32"):
        ApproximateIndex.read(path, 201, 32)
    path.write_bytes(b"no index at all")
    with pytest.raises(ArtifactError, match="is no index"):
        ApproximateIndex.read(path, 200, 32)
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        build(many[:200]).write(tmp_path / "file" / "x.faiss")


def test_few_rows_are_indexed_too() -> None:
    vectors = clustered(3, 8, 1)
    [found] = build(vectors).nearest(vectors[:1], 10)
    assert sorted(found.rows.tolist()) == [0, 1, 2]
    assert found.rows[0] == 0
