import numpy as np
import pytest

from tasks.evaluate.document_map import document_map


def grouped_vectors(num_groups: int, per_group: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(num_groups, 16)).repeat(per_group, axis=0)
    vectors = centres + 0.3 * generator.normal(size=centres.shape)
    unit: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_documents_of_a_group_lie_beside_each_other() -> None:
    vectors = grouped_vectors(4, 20)
    places = document_map(vectors, seed=0)
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distances, np.inf)
    groups = np.arange(80) // 20
    assert (groups[distances.argmin(axis=1)] == groups).mean() > 0.95
    assert np.array_equal(document_map(vectors, seed=0), places)


@pytest.mark.parametrize("num_documents", [1, 2, 3, 9, 10])
def test_few_documents_have_places_too(num_documents: int) -> None:
    places = document_map(grouped_vectors(num_documents, 1), seed=0)
    assert places.shape == (num_documents, 2)
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) == num_documents


def test_equal_documents_are_no_error() -> None:
    vectors = np.tile(grouped_vectors(1, 1), (20, 1))
    assert np.isfinite(document_map(vectors, seed=0)).all()
