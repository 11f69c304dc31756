import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.corpus_vectors import corpus_vectors

NUM_TOPICS = 6
OWN_TOKENS = 20  # of each topic, after the common ones
COMMON = np.arange(10)
FIRST_UNSEEN = len(COMMON) + NUM_TOPICS * OWN_TOKENS
VOCAB_SIZE = FIRST_UNSEEN + 30
DIM = 64


def planted_documents(num_documents: int = 120, num_tokens: int = 40) -> list[np.ndarray]:
    """Each is of one topic: half of its tokens are the topic's, half are common."""
    generator = np.random.default_rng(0)
    documents = []
    for number in range(num_documents):
        own = len(COMMON) + OWN_TOKENS * (number % NUM_TOPICS) + np.arange(OWN_TOKENS)
        is_own = generator.random(num_tokens) < 0.5
        documents.append(
            np.where(
                is_own, generator.choice(own, num_tokens), generator.choice(COMMON, num_tokens)
            )
        )
    return documents


DOCUMENTS = planted_documents()


def vectors(documents: list[np.ndarray] = DOCUMENTS, *, dim: int = DIM, seed: int = 0) -> Tensor:
    return corpus_vectors(documents, VOCAB_SIZE, dim, seed=seed)


def random_vectors(dim: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(VOCAB_SIZE, dim, generator=generator), dim=1)


def latent_part(dim: int, seed: int) -> Tensor:
    """What is left of the seen topical tokens' vectors without the random half."""
    latent_VD = vectors(dim=dim, seed=seed) * 2**0.5 - random_vectors(dim, seed)
    return latent_VD[len(COMMON) : FIRST_UNSEEN]


@pytest.mark.parametrize("dim", [8, 64, 300])
def test_every_token_has_a_vector_of_about_unit_length(dim: int) -> None:
    vectors_VD = vectors(dim=dim)
    assert vectors_VD.dtype == torch.float32
    assert vectors_VD.shape == (VOCAB_SIZE, dim)
    lengths_V = vectors_VD.norm(dim=1)
    seen_V = lengths_V[:FIRST_UNSEEN]
    # The square is one and the halves' cosine, whose deviation is one by the root of the width.
    assert abs(seen_V.square().mean().item() - 1) < 5 / (dim * FIRST_UNSEEN) ** 0.5
    assert (seen_V.square() - 1).abs().max() < 5 / dim**0.5
    torch.testing.assert_close(lengths_V[FIRST_UNSEEN:], torch.ones(30))


def test_tokens_of_one_topic_are_nearer_than_those_of_two() -> None:
    topical_VD = functional.normalize(vectors()[len(COMMON) : FIRST_UNSEEN], dim=1)
    cosines_VV = (topical_VD @ topical_VD.T).numpy()
    topics_V = np.repeat(np.arange(NUM_TOPICS), OWN_TOKENS)
    is_same_VV = topics_V[:, None] == topics_V
    of_others_VV = np.where(np.eye(len(topics_V), dtype=bool), np.nan, cosines_VV)
    same_V = np.nanmean(np.where(is_same_VV, of_others_VV, np.nan), axis=1)
    different_V = np.nanmean(np.where(is_same_VV, np.nan, of_others_VV), axis=1)
    # Most directions beyond the six topics are chance, so not every token is nearer.
    assert (same_V > different_V).mean() > 0.85
    assert same_V.mean() > different_V.mean() + 0.04
    assert abs(different_V.mean()) < 0.02
    assert np.nanmax(of_others_VV) < 0.8  # the random half keeps tokens apart


def latent_semantic_analysis(num_latent: int) -> np.ndarray:
    """Unit vectors of the topical tokens from the dense decomposition, written down plainly."""
    counts_TV = np.stack([np.bincount(d, minlength=VOCAB_SIZE) for d in DOCUMENTS])
    rarity_V = np.log((len(DOCUMENTS) + 1) / ((counts_TV > 0).sum(0) + 1))
    weights_TV = counts_TV * rarity_V
    weights_TV /= np.linalg.norm(weights_TV, axis=1, keepdims=True)
    directions_VK = np.linalg.svd(weights_TV)[2][:num_latent].T
    topical_VK = directions_VK[len(COMMON) : FIRST_UNSEEN]
    return topical_VK / np.linalg.norm(topical_VK, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_other_half_is_latent_semantic_analysis_whatever_the_seed(seed: int) -> None:
    # Directions of equal strength may turn into each other: six topics, six directions.
    expected_VK = latent_semantic_analysis(NUM_TOPICS)
    latent_VD = latent_part(dim=9, seed=seed).numpy()
    assert abs(latent_VD[:, NUM_TOPICS:]).max() < 1e-6
    np.testing.assert_allclose(latent_VD @ latent_VD.T, expected_VK @ expected_VK.T, atol=1e-3)


def test_directions_are_the_strongest_first() -> None:
    expected_VK = latent_semantic_analysis(NUM_TOPICS)
    widest = latent_part(dim=96, seed=0).numpy()
    first_VK = widest[:, :NUM_TOPICS]
    first_VK = first_VK / np.linalg.norm(first_VK, axis=1, keepdims=True)
    np.testing.assert_allclose(first_VK @ first_VK.T, expected_VK @ expected_VK.T, atol=1e-3)


def test_a_token_that_no_document_has_is_random_only() -> None:
    unseen = slice(FIRST_UNSEEN, None)
    assert torch.equal(vectors(seed=3)[unseen], random_vectors(DIM, 3)[unseen])


@pytest.mark.usefixtures("one_thread")
def test_the_same_seed_gives_the_same_vectors_and_another_others() -> None:
    first_VD = vectors(seed=5)
    assert torch.equal(vectors(seed=5), first_VD)
    assert not (vectors(seed=6) == first_VD).all(dim=1).any()


def test_the_global_random_state_does_not_matter_and_is_left_alone() -> None:
    torch.manual_seed(11)
    first_VD = vectors()
    drawn = torch.rand(4)
    torch.manual_seed(12)
    torch.testing.assert_close(vectors(), first_VD)
    torch.manual_seed(11)
    assert torch.equal(torch.rand(4), drawn)


@pytest.mark.parametrize("num_documents", [1, 2, 3])
def test_fewer_documents_than_dimensions_are_enough(num_documents: int) -> None:
    vectors_VD = vectors(DOCUMENTS[:num_documents], dim=DIM)
    assert vectors_VD.shape == (VOCAB_SIZE, DIM)
    assert torch.isfinite(vectors_VD).all()
    assert vectors_VD.norm(dim=1).min() > 0.5
    cosines_VV = functional.normalize(vectors_VD, dim=1) @ functional.normalize(vectors_VD, dim=1).T
    assert cosines_VV.fill_diagonal_(0).max() < 0.98


@pytest.mark.parametrize("dim", [1, 2])
def test_hardly_any_dimensions_are_enough(dim: int) -> None:
    assert torch.isfinite(vectors(dim=dim)).all()


def test_more_dimensions_than_tokens_are_enough() -> None:
    vectors_VD = corpus_vectors([np.array([0, 1]), np.array([1, 2])], 4, 32, seed=0)
    assert vectors_VD.shape == (4, 32)
    assert torch.isfinite(vectors_VD).all()


@pytest.mark.usefixtures("one_thread")
def test_a_long_document_is_several_texts() -> None:
    book = np.concatenate([np.tile(text, 13)[:512] for text in DOCUMENTS[:NUM_TOPICS]])
    chapters = [book[start : start + 512] for start in range(0, len(book), 512)]
    assert torch.equal(vectors([book]), vectors(chapters))
    assert not torch.equal(vectors([book]), vectors([book[:512]]))


@pytest.mark.usefixtures("one_thread")
def test_ids_of_any_integer_type_and_empty_documents_change_nothing() -> None:
    narrow = [document.astype(np.uint16) for document in DOCUMENTS]
    assert torch.equal(vectors([np.array([], dtype=np.uint16), *narrow]), vectors())
