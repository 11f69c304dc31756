"""Starting vectors for tokens from the texts they stand in: part alike in topic, part distinct.

Shape letters: T texts, V tokens of the vocabulary, D dimensions, K latent ones.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.token_weights import inverse_document_frequencies

_PIECE_TOKENS = 512  # longer documents are several texts, else a book would have one topic
_POWER_ITERATIONS = 4
_SPARE = 10  # directions sought beyond those kept, which makes the last of these exact


def corpus_vectors(
    documents: Sequence[NDArray[Any]], vocab_size: int, dim: int, *, seed: int
) -> Tensor:
    """A vector of about unit length for each token.

    Half of its square is latent semantic analysis, two thirds as many directions as there are
    dimensions, strongest first, so tokens of one topic are near each other; the other half is
    random and keeps all tokens apart. A token that no document has is random only; one that all
    have has no topic and is shorter.

    Args:
        documents: token ids of each, without special tokens.
        vocab_size: V.
        dim: D.
        seed: of the random part and of the search for directions.

    Returns:
        vectors_VD: float32.

    Source: Deerwester et al. 1990 (Indexing by Latent Semantic Analysis); the directions by
    Halko et al. 2011 (arXiv 0909.4061), algorithm 5.1.
    Cost: a few products of the sparse T x V matrix with K columns.
    """
    pieces = [
        document[start : start + _PIECE_TOKENS]
        for document in documents
        for start in range(0, len(document), _PIECE_TOKENS)
    ]
    num_latent = max(1, min(dim * 2 // 3, len(pieces), vocab_size))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        random_VD = functional.normalize(torch.randn(vocab_size, dim), dim=1)
        rarity_V, is_seen_V = inverse_document_frequencies(pieces, vocab_size)
        weights_TV = _weighted_counts(pieces, torch.from_numpy(rarity_V).float())
        sought = min(num_latent + _SPARE, *weights_TV.shape)
        _, _, directions_VK = torch.svd_lowrank(weights_TV, q=sought, niter=_POWER_ITERATIONS)
    latent_VK = functional.normalize(directions_VK[:, :num_latent], dim=1)
    latent_VD = functional.pad(latent_VK, (0, dim - num_latent))
    mixed_VD = (random_VD + latent_VD) * 0.5**0.5
    return torch.where(torch.from_numpy(is_seen_V)[:, None], mixed_VD, random_VD)


def _weighted_counts(pieces: Sequence[NDArray[Any]], rarity_V: Tensor) -> Tensor:
    """Counts times inverse document frequencies, rows of unit length, sparse [T, V]."""
    rows_N = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
    where_2N = torch.from_numpy(np.stack([rows_N, np.concatenate(pieces).astype(np.int64)]))
    shape = (len(pieces), len(rarity_V))
    summed = torch.sparse_coo_tensor(
        where_2N, rarity_V[where_2N[1]], shape, check_invariants=False
    ).coalesce()
    rows_M, values_M = summed.indices()[0], summed.values()
    squares_T = torch.zeros(len(pieces)).index_add_(0, rows_M, values_M.square())
    values_M = values_M / squares_T.sqrt().clamp(min=1e-12)[rows_M]
    return torch.sparse_coo_tensor(
        summed.indices(), values_M, shape, check_invariants=False
    ).coalesce()
