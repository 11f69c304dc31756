"""How well one half of an unseen document finds the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from model.embedding import embed_documents
from model.encoder import Encoder
from model.retrieval import hits_at, matching_ranks, reciprocal_ranks, similarity_blocks

_TOKENS_PER_BATCH = 8192


@dataclass(frozen=True)
class HalfDocumentScores:
    """How often the right half came first, and the mean of one over its rank."""

    recall_at_1: float
    mrr: float


@dataclass(frozen=True)
class HalfDocuments:
    """The two halves of each validation document.

    Attributes:
        documents: token ids, each of two tokens or more.
        max_window_tokens: as the embedder will have it.
        precision: of matrix products, as in training.
    """

    documents: Sequence[NDArray[Any]]
    max_window_tokens: int
    precision: torch.dtype

    def scores(self, encoder: Encoder, weights_V: Tensor) -> HalfDocumentScores:
        """Of first halves asking for their own second half among all."""
        firsts = [document[: len(document) // 2] for document in self.documents]
        seconds = [document[len(document) // 2 :] for document in self.documents]
        vectors = embed_documents(
            encoder,
            [*firsts, *seconds],
            max_window_tokens=self.max_window_tokens,
            tokens_per_batch=_TOKENS_PER_BATCH,
            precision=self.precision,
            weights_V=weights_V,
        ).vectors
        blocks = similarity_blocks(vectors[: len(firsts)], vectors[len(firsts) :])
        ranks_Q = matching_ranks(blocks)
        return HalfDocumentScores(
            float(hits_at(ranks_Q, 1).mean()), float(reciprocal_ranks(ranks_Q).mean())
        )
