"""The terms of groups of positions against the double sum over all pairs of positions."""

import numpy as np
import pytest
import torch

from model.attribution import SPECIAL_GROUP, attribute, sum_groups
from model.batch import batch_from_sequences
from model.embedding import embed_documents, split_into_windows
from model.encoder import Encoder
from model.errors import ArtifactError
from model.initialization import initialize
from tests.tasks.chain import ENCODER

WINDOW = 12


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    encoder = Encoder(ENCODER)
    initialize(encoder, ENCODER, 3)
    return encoder.eval()


def tokens(length: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(5, 300, length).astype(np.int32)


def positions_of(
    encoder: Encoder, token_ids: np.ndarray, weights_V: torch.Tensor | None
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted states of every position, window by window alone, and which are special."""
    hidden, is_special = [], []
    for start, stop in split_into_windows(len(token_ids), WINDOW):
        ids = {"cls_id": ENCODER.cls_id, "sep_id": ENCODER.sep_id, "pad_id": ENCODER.pad_id}
        batch = batch_from_sequences([token_ids[start:stop]], row_tokens=None, **ids)
        with torch.inference_mode():
            states = encoder(batch)[0].double().numpy()
        weights_L = np.ones(len(states)) if weights_V is None else weights_V[batch.token_ids_BL[0]]
        hidden.append(states * np.asarray(weights_L)[:, None])
        is_special += [True, *[False] * (stop - start), True]
    return np.concatenate(hidden), np.array(is_special)


def sums(
    encoder: Encoder,
    token_ids: np.ndarray,
    groups: np.ndarray,
    per_batch: int = 64,
    weights_V: torch.Tensor | None = None,
) -> np.ndarray:
    return sum_groups(
        encoder,
        token_ids,
        groups,
        5,
        max_window_tokens=WINDOW,
        tokens_per_batch=per_batch,
        weights_V=weights_V,
    )


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize(("length", "other"), [(7, 10), (0, 3), (41, 95)])
def test_terms_are_those_of_all_pairs_of_positions(
    encoder: Encoder, length: int, other: int, is_weighted: bool
) -> None:
    weights_V = torch.linspace(0.2, 1.0, ENCODER.vocab_size) if is_weighted else None
    documents = [tokens(length, 1), tokens(other, 2)]
    groups = [np.arange(len(ids)) % 4 + 1 for ids in documents]
    found = attribute(
        *(sums(encoder, *each, weights_V=weights_V) for each in zip(documents, groups, strict=True))
    )
    hidden, own = [], []
    for ids, groups_L in zip(documents, groups, strict=True):
        states, is_special = positions_of(encoder, ids, weights_V)
        hidden.append(states / np.linalg.norm(states.sum(axis=0)))
        own.append(np.zeros(len(states), dtype=int))
        own[-1][~is_special] = groups_L
    pairs = hidden[0] @ hidden[1].T
    expected = [[pairs[np.ix_(own[0] == a, own[1] == c)].sum() for c in range(5)] for a in range(5)]
    every = np.arange(5)
    np.testing.assert_allclose(found.pair_terms_AC(every, every), expected, atol=1e-6)
    np.testing.assert_allclose(found.left_terms_G, np.sum(expected, axis=1), atol=1e-6)
    np.testing.assert_allclose(found.right_terms_G, np.sum(expected, axis=0), atol=1e-6)
    assert abs(found.left_terms_G[SPECIAL_GROUP]) > 1e-4
    vectors = embed_documents(
        encoder,
        documents,
        max_window_tokens=WINDOW,
        tokens_per_batch=64,
        weights_V=weights_V,
    ).vectors
    assert found.cosine == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)


def test_sums_do_not_depend_on_the_batch(encoder: Encoder) -> None:
    ids = tokens(100, 4)
    groups = np.arange(100) % 4 + 1
    one, many = sums(encoder, ids, groups, 1), sums(encoder, ids, groups, 10_000)
    np.testing.assert_allclose(one, many, atol=1e-4)


def test_a_document_without_direction_is_refused() -> None:
    with pytest.raises(ArtifactError, match="zero or not finite"):
        attribute(np.zeros((2, 3)), np.ones((2, 3)))
    with pytest.raises(ArtifactError, match="zero or not finite"):
        attribute(np.ones((2, 3)), np.full((2, 3), np.nan))
