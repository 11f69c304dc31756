from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batch import batch_from_sequences
from model.config import EncoderConfig
from model.embedding import (
    embed_documents,
    embed_layers,
    embed_windows,
    normalized,
    plan_windows,
    split_into_windows,
)
from model.encoder import Encoder
from model.errors import ArtifactError, CorpusError
from model.initialization import initialize

CONFIG = EncoderConfig(
    vocab_size=500, hidden_size=32, num_layers=2, num_heads=4, intermediate_size=48
)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    encoder = Encoder(CONFIG)
    initialize(encoder, CONFIG, 0)
    with torch.no_grad():  # fresh weights barely attend; these make neighbours matter
        for parameter in encoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return encoder.eval()


def random_documents(lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [generator.integers(5, 500, size=length) for length in lengths]


def embed(encoder: Encoder, documents: list[np.ndarray], **changed: Any) -> np.ndarray:
    asked: dict[str, Any] = {"max_window_tokens": 34, "tokens_per_batch": 200}
    return embed_documents(encoder, documents, **{**asked, **changed}).vectors


@given(length=st.integers(0, 5000), window=st.integers(3, 600))
def test_windows_cover_every_token_once_and_evenly(length: int, window: int) -> None:
    windows = split_into_windows(length, window)
    covered = [token for start, stop in windows for token in range(start, stop)]
    assert covered == list(range(length))
    sizes = [stop - start for start, stop in windows]
    assert max(sizes) <= window - 2
    assert max(sizes) - min(sizes) <= 1
    assert len(windows) == max(1, -(-length // (window - 2)))


def test_a_vector_is_the_mean_over_all_positions_of_all_windows(encoder: Encoder) -> None:
    (document,) = random_documents([75])
    hidden = []
    for start, stop in ((0, 25), (25, 50), (50, 75)):
        batch = batch_from_sequences(
            [document[start:stop]], row_tokens=None, cls_id=2, sep_id=3, pad_id=0
        )
        hidden.append(encoder(batch)[0].detach().double())
    mean = torch.cat(hidden).mean(0)
    expected = (mean / mean.norm()).numpy()
    np.testing.assert_allclose(embed(encoder, [document])[0], expected, atol=1e-6)


def test_a_vector_is_weighted_over_all_windows(encoder: Encoder) -> None:
    """A token that counts for nothing may as well not be there, but for what others make of it."""
    (document,) = random_documents([75])
    weights_V = torch.rand(500, generator=torch.Generator().manual_seed(1))
    total = torch.zeros(32, dtype=torch.float64)
    for start, stop in ((0, 25), (25, 50), (50, 75)):
        batch = batch_from_sequences(
            [document[start:stop]], row_tokens=None, cls_id=2, sep_id=3, pad_id=0
        )
        hidden_LD = encoder(batch)[0].detach().double()
        total += weights_V[batch.token_ids_BL[0]].double() @ hidden_LD
    expected = (total / total.norm()).numpy()
    found = embed(encoder, [document], weights_V=weights_V)[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - embed(encoder, [document])[0]).max() > 1e-3


def test_vectors_do_not_depend_on_neighbours_order_or_budget(encoder: Encoder) -> None:
    documents = random_documents([0, 1, 5, 31, 32, 33, 64, 150, 7, 7])
    weights_V = torch.rand(500, generator=torch.Generator().manual_seed(1)) + 0.01
    together = embed(encoder, documents, weights_V=weights_V)
    for index, document in enumerate(documents):
        alone = embed(encoder, [document], weights_V=weights_V)
        assert np.abs(alone - together[index]).max() <= 1e-5
    backwards = embed(encoder, documents[::-1], tokens_per_batch=16, weights_V=weights_V)
    assert np.abs(backwards[::-1] - together).max() <= 1e-5
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)


def test_same_call_same_bits(encoder: Encoder) -> None:
    documents = random_documents([3, 90, 12])
    assert np.array_equal(embed(encoder, documents), embed(encoder, documents))


def test_the_last_token_of_a_long_document_counts(encoder: Encoder) -> None:
    (document,) = random_documents([5000])
    changed = document.copy()
    changed[-1] = 5 if document[-1] != 5 else 6
    vectors = embed(encoder, [document, changed])
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-6


def test_windows_are_counted_and_training_mode_is_kept(encoder: Encoder) -> None:
    encoder.train()
    found = embed_documents(
        encoder, random_documents([0, 32, 33, 320]), max_window_tokens=34, tokens_per_batch=64
    )
    assert found.num_windows.tolist() == [1, 1, 2, 10]
    assert found.num_windows.dtype == np.int16
    assert found.vectors.dtype == np.float32
    assert encoder.training
    encoder.eval()


def test_no_documents_no_vectors(encoder: Encoder) -> None:
    assert embed(encoder, []).shape == (0, 32)


def test_bfloat16_stays_close(encoder: Encoder) -> None:
    documents = random_documents([20, 40])
    found = embed_documents(
        encoder,
        documents,
        max_window_tokens=34,
        tokens_per_batch=64,
        precision=torch.bfloat16,
    ).vectors
    exact = embed(encoder, documents)
    assert not np.array_equal(found, exact)
    assert (found * exact).sum(axis=1).min() >= 0.9999


def test_more_windows_than_can_be_counted_are_refused(encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match="split it"):
        embed(encoder, [np.zeros(40_000, dtype=np.uint16)], max_window_tokens=3)


def test_unusable_vectors_are_refused() -> None:
    with pytest.raises(ArtifactError, match="1 of 2 vectors"):
        normalized(np.array([[1.0, 0.0], [np.nan, 1.0]]))
    with pytest.raises(ArtifactError, match="zero"):
        normalized(np.array([[0.0, 0.0]]))


LENGTHS = [0, 1, 5, 12, 31, 32, 33, 64, 90, 150, 7, 7]


@settings(deadline=None, max_examples=25)
@given(
    order=st.permutations(range(len(LENGTHS))),
    budget=st.integers(1, 600),
    cut=st.integers(0, len(LENGTHS)),
)
def test_any_order_budget_and_division_give_the_same_vectors(
    encoder: Encoder, order: list[int], budget: int, cut: int
) -> None:
    documents = random_documents(LENGTHS)
    expected = embed(encoder, documents)
    shuffled = [documents[index] for index in order]
    parts = [
        embed(encoder, part, tokens_per_batch=budget) for part in (shuffled[:cut], shuffled[cut:])
    ]
    assert np.abs(np.concatenate(parts) - expected[order]).max() <= 1e-5


def test_every_layer_comes_from_one_pass(encoder: Encoder) -> None:
    documents = random_documents([3, 70, 12])
    windows = plan_windows([len(document) for document in documents], 34)
    asked = [2, 0, 1, 2]
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    handle = encoder.embeddings.register_forward_hook(count)
    heard: list[int] = []
    found = embed_layers(
        encoder, documents, windows, layers=asked, tokens_per_batch=500, on_batch=heard.append
    )
    handle.remove()
    assert (passes, heard) == (1, [len(windows.starts_W)])
    assert found.dtype == np.float32
    last = embed_windows(encoder, documents, windows, tokens_per_batch=500)
    assert np.array_equal(found[0], last)
    assert np.array_equal(found[0], found[3])
    for place, layer in enumerate(asked):
        for w, document in enumerate(windows.documents_W):
            piece = documents[document][windows.starts_W[w] : windows.stops_W[w]]
            batch = batch_from_sequences([piece], row_tokens=None, cls_id=2, sep_id=3, pad_id=0)
            seen = next(each for each in encoder.observe(batch) if each.layer == layer)
            expected = seen.hidden_BLD[0].detach().double().sum(0)
            np.testing.assert_allclose(found[place, w], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("layer", [-1, 3])
def test_a_layer_that_there_is_not_is_refused(encoder: Encoder, layer: int) -> None:
    windows = plan_windows([3], 34)
    with pytest.raises(ValueError, match=f"layer {layer} is none"):
        embed_layers(encoder, random_documents([3]), windows, layers=[layer], tokens_per_batch=64)
