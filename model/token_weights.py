"""How much each token counts in a document's vector, as something that learns.

Shape letters: V tokens of the vocabulary, N tokens of all documents.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# A square root's weight on common words costs no recall of half documents and is what a document
# is found by once its names are taken out; the full power was worse there by a third.
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
    documents: Sequence[NDArray[Any]], vocab_size: int
) -> NDArray[np.float64]:
    """``log((T + 1) / (number with the token + 1))`` of each token, [V], for T documents."""
    counts_V = np.zeros(vocab_size, dtype=np.int64)
    for document in documents:
        counts_V[np.unique(document)] += 1
    frequencies_V: NDArray[np.float64] = np.log((len(documents) + 1) / (counts_V + 1))
    return frequencies_V


def rarity_weights(documents: Sequence[NDArray[Any]], vocab_size: int) -> Tensor:
    """Weights to begin with: the rarer a token, the more it counts, 1 at most; float32 [V].

    Args:
        documents: token ids of each, without special tokens. Those never occur and would count
            most, so what no document has counts as what all have.
    """
    raised_V = inverse_document_frequencies(documents, vocab_size).clip(_LEAST) ** _POWER
    never_V = np.ones(vocab_size, dtype=bool)
    never_V[np.unique(np.concatenate(documents))] = False
    raised_V[never_V] = _LEAST**_POWER
    return torch.from_numpy((raised_V / raised_V.max()).astype(np.float32))
