"""How well one half of an unseen document finds the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from model.embedding import combine_windows, embed_documents, embed_layers, plan_windows
from model.encoder import Encoder
from model.retrieval import (
    Counts,
    Floats,
    hits_at,
    matching_ranks,
    reciprocal_ranks,
    similarity_blocks,
)

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
        vectors = embed_documents(
            encoder,
            self._halves(),
            max_window_tokens=self.max_window_tokens,
            tokens_per_batch=_TOKENS_PER_BATCH,
            precision=self.precision,
            weights_V=weights_V,
        ).vectors
        ranks_Q = self._ranks(vectors)
        return HalfDocumentScores(
            float(hits_at(ranks_Q, 1).mean()), float(reciprocal_ranks(ranks_Q).mean())
        )

    def ranks_by_layer(self, encoder: Encoder, weights_V: Tensor) -> list[Counts]:
        """Where each document's second half came, for the encoder cut after layer 1, 2, ...

        Returns:
            ranks_Q of each layer; those of the last are what `scores` goes by.
        """
        halves = self._halves()
        windows = plan_windows(list(map(len, halves)), self.max_window_tokens)
        sums_KWD = embed_layers(
            encoder,
            halves,
            windows,
            layers=range(1, encoder.config.num_layers + 1),
            tokens_per_batch=_TOKENS_PER_BATCH,
            normed=True,
            precision=self.precision,
            weights_V=weights_V,
        )
        return [self._ranks(combine_windows(sums_WD, windows)) for sums_WD in sums_KWD]

    def _halves(self) -> list[NDArray[Any]]:
        """All first halves, then all second ones."""
        firsts = [document[: len(document) // 2] for document in self.documents]
        return [*firsts, *(document[len(document) // 2 :] for document in self.documents)]

    def _ranks(self, vectors_ND: Floats) -> Counts:
        num = len(self.documents)
        return matching_ranks(similarity_blocks(vectors_ND[:num], vectors_ND[num:]))
