"""How much each token counts in a document's vector, as something that learns.

Shape letters: V tokens of the vocabulary, N tokens of all documents.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# Between counting all tokens alike and the full rarity: common words are what a document is found
# by when its names are not in the question.
_POWER = 0.6
_LEAST = 0.02  # inverse document frequency of a token that is in every document


class TokenWeights(nn.Module):
    """A positive number for each token, learned by its logarithm."""

    def __init__(self, weights_V: Tensor) -> None:
        super().__init__()
        self.log_weights_V = nn.Parameter(weights_V.log())

    def forward(self) -> Tensor:
        """The weights, float32 [V]."""
        return self.log_weights_V.exp()


def inverse_document_frequencies(
    documents: Iterable[NDArray[Any]], vocab_size: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How rare each token is, of T documents.

    Returns:
        rarity_V: ``log((T + 1) / (number of documents with the token + 1))``.
        is_seen_V: whether any document has the token.
    """
    counts_V = np.zeros(vocab_size, dtype=np.int64)
    num_documents = 0
    for document in documents:
        counts_V[np.unique(document)] += 1
        num_documents += 1
    return np.log((num_documents + 1) / (counts_V + 1)), counts_V > 0


def rarity_weights(documents: Iterable[NDArray[Any]], vocab_size: int) -> Tensor:
    """Weights to begin with: the rarer a token, the more it counts, 1 at most; float32 [V].

    Args:
        documents: token ids of each, without special tokens. Those never occur and would count
            most, so what no document has counts as what all have.
        vocab_size: V.
    """
    rarity_V, is_seen_V = inverse_document_frequencies(documents, vocab_size)
    weights_V = np.where(is_seen_V, rarity_V, 0.0).clip(_LEAST) ** _POWER
    return torch.from_numpy((weights_V / weights_V.max()).astype(np.float32))
