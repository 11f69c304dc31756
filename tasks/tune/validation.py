"""How well one half of an unseen document finds the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from model.embedding import embed_documents
from model.encoder import Encoder
from model.retrieval import hits_at, matching_ranks, similarity_blocks

_TOKENS_PER_BATCH = 8192


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

    def recall_at_1(self, encoder: Encoder) -> float:
        """Share of first halves whose nearest second half, of all, is their own."""
        firsts = [document[: len(document) // 2] for document in self.documents]
        seconds = [document[len(document) // 2 :] for document in self.documents]
        vectors = embed_documents(
            encoder,
            [*firsts, *seconds],
            max_window_tokens=self.max_window_tokens,
            tokens_per_batch=_TOKENS_PER_BATCH,
            precision=self.precision,
        ).vectors
        blocks = similarity_blocks(vectors[: len(firsts)], vectors[len(firsts) :])
        return float(hits_at(matching_ranks(blocks), 1).mean())
