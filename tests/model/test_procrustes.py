"""The rotation that was planted is found, block by block, and nothing else of a vector changes."""

import numpy as np
import pytest

from model.procrustes import RotationFit, blocks_between, rotated

BLOCKS = [(0, 4), (4, 8), (8, 16)]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def planted(rng: np.random.Generator) -> dict[tuple[int, int], np.ndarray]:
    return {
        (first, end): np.linalg.qr(rng.normal(size=(end - first, end - first)))[0]
        for first, end in BLOCKS
    }


def turn(vectors: np.ndarray, rotation: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
    turned = [vectors[:, first:end] @ matrix for (first, end), matrix in rotation.items()]
    return np.concatenate(turned, axis=1)


@pytest.mark.parametrize(
    ("dims", "width", "blocks"),
    [
        ([16, 8, 4], 16, BLOCKS),
        ([], 16, [(0, 16)]),
        ([32, 16], 16, [(0, 16)]),
        ([4, 4, 0], 8, [(0, 4), (4, 8)]),
    ],
)
def test_blocks_end_where_vectors_may_be_cut(
    dims: list[int], width: int, blocks: list[tuple[int, int]]
) -> None:
    assert blocks_between(dims, width) == blocks


def test_a_planted_rotation_is_found_from_parts_of_the_documents() -> None:
    rng = np.random.default_rng(0)
    new = unit(rng.normal(size=(200, 16)))
    rotation = planted(rng)
    old = unit(turn(new, rotation))
    fit = RotationFit(BLOCKS)
    for start in range(0, 200, 50):
        fit.add(new[start : start + 50], old[start : start + 50])
    found = fit.rotation()
    for block, matrix in rotation.items():
        np.testing.assert_allclose(found[block], matrix, atol=1e-5)
    np.testing.assert_allclose(rotated(new, found), old, atol=1e-5)


def test_lengths_and_angles_stay_of_whole_vectors_and_of_every_cut() -> None:
    rng = np.random.default_rng(1)
    new, other = unit(rng.normal(size=(50, 16))), unit(rng.normal(size=(50, 16)))
    fit = RotationFit(BLOCKS)
    fit.add(new, other)
    turned = rotated(new, fit.rotation())
    assert turned.dtype == np.float32
    for _, end in BLOCKS:
        np.testing.assert_allclose(
            turned[:, :end] @ turned[:, :end].T, new[:, :end] @ new[:, :end].T, atol=1e-5
        )


def test_no_other_rotation_brings_noisy_vectors_nearer() -> None:
    rng = np.random.default_rng(2)
    new = unit(rng.normal(size=(300, 16)))
    old = unit(turn(new, planted(rng)) + 0.1 * rng.normal(size=(300, 16)))
    fit = RotationFit(BLOCKS)
    fit.add(new, old)
    found = fit.rotation()
    best = np.square(turn(new, found) - old).sum()
    for _ in range(20):
        small = {
            block: np.linalg.qr(np.eye(len(matrix)) + 0.01 * rng.normal(size=matrix.shape))[0]
            for block, matrix in found.items()
        }
        nudged = {block: found[block] @ small[block] for block in found}
        assert np.square(turn(new, nudged) - old).sum() >= best


def test_a_vector_of_zeros_stays_one() -> None:
    rotation = {(0, 2): np.eye(2)}
    assert rotated(np.zeros((1, 2), np.float32), rotation).tolist() == [[0.0, 0.0]]
