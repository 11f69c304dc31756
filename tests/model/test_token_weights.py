import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.token_weights import TokenWeights, inverse_document_frequencies, rarity_weights

VOCAB_SIZE = 12
DOCUMENTS = st.lists(
    st.lists(st.integers(0, VOCAB_SIZE - 1), min_size=1, max_size=15).map(np.array),
    min_size=1,
    max_size=15,
)


def num_with_token(documents: list[np.ndarray]) -> list[int]:
    return [sum(token in document for document in documents) for token in range(VOCAB_SIZE)]


@given(DOCUMENTS)
def test_weights_are_positive_and_one_at_most(documents: list[np.ndarray]) -> None:
    weights_V = rarity_weights(documents, VOCAB_SIZE)
    assert weights_V.dtype == torch.float32
    assert weights_V.shape == (VOCAB_SIZE,)
    assert (weights_V > 0).all()
    assert weights_V.max() == 1


@given(DOCUMENTS)
def test_the_rarer_a_token_the_more_it_counts(documents: list[np.ndarray]) -> None:
    weights = rarity_weights(documents, VOCAB_SIZE).tolist()
    counts = num_with_token(documents)
    for count, weight in zip(counts, weights, strict=True):
        for other_count, other_weight in zip(counts, weights, strict=True):
            if 0 < count < other_count:
                assert weight > other_weight
            if count == other_count:
                assert weight == other_weight


@given(DOCUMENTS)
def test_a_token_that_no_document_has_counts_as_one_that_all_have(
    documents: list[np.ndarray],
) -> None:
    nowhere, everywhere = VOCAB_SIZE, VOCAB_SIZE + 1
    documents = [np.append(document, everywhere) for document in documents]
    weights_V = rarity_weights(documents, VOCAB_SIZE + 2)
    assert weights_V[nowhere] == weights_V[everywhere] == weights_V.min()


@given(DOCUMENTS)
def test_frequencies_are_of_documents_not_of_tokens(documents: list[np.ndarray]) -> None:
    found_V, is_seen_V = inverse_document_frequencies(documents, VOCAB_SIZE)
    shares_V = (np.array(num_with_token(documents)) + 1) / (len(documents) + 1)
    np.testing.assert_allclose(found_V, -np.log(shares_V), atol=1e-12)
    assert is_seen_V.tolist() == [count > 0 for count in num_with_token(documents)]
    doubled = [np.tile(document, 2) for document in documents]
    assert np.array_equal(inverse_document_frequencies(doubled, VOCAB_SIZE)[0], found_V)


def test_ids_of_any_integer_type_count_alike() -> None:
    documents = [np.array([1, 2, 2]), np.array([2, 5])]
    narrow = [document.astype(np.uint16) for document in documents]
    assert torch.equal(rarity_weights(documents, 8), rarity_weights(narrow, 8))


def test_weights_begin_as_given() -> None:
    given_V = torch.tensor([1.0, 0.3, 0.02])
    torch.testing.assert_close(TokenWeights(given_V)().detach(), given_V)


@pytest.mark.parametrize("rate", [50.0, -50.0])
def test_one_great_step_leaves_weights_positive(rate: float) -> None:
    given_V = torch.tensor([1.0, 0.5, 0.02])
    weights = TokenWeights(given_V)
    torch.autograd.backward(weights().sum())
    slopes_V = weights.log_weights_V.grad
    assert slopes_V is not None
    with torch.no_grad():
        weights.log_weights_V.sub_(slopes_V, alpha=rate)
    after_V = weights().detach()
    assert (after_V > 0).all()
    assert torch.isfinite(after_V).all()
    # The slope of a weight by its logarithm is the weight itself.
    torch.testing.assert_close(after_V, given_V * (-rate * given_V).exp())
