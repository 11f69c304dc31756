"""Which held-out documents the layer and head measures are taken on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import CorpusError

Tokens = NDArray[Any]
SPLIT = "validation+test"
MAX_GROUPS = 10


@dataclass(frozen=True)
class Sample:
    """Leading tokens of drawn documents.

    Attributes:
        documents: raw token ids, no special tokens; none is empty.
        num_groups: document d is in group ``d % num_groups``, for intervals.
    """

    documents: list[Tokens]
    num_groups: int

    @property
    def num_tokens(self) -> int:
        """Tokens of all documents."""
        return sum(len(document) for document in self.documents)


def draw_sample(
    splits: Sequence[Sequence[Tokens]],
    *,
    num_documents: int,
    max_tokens_per_document: int,
    seed: int,
) -> Sample:
    """Draw documents from the splits taken together, without replacement.

    Raises:
        CorpusError: fewer than two documents hold any token.
    """
    bounds = np.cumsum([0, *(len(split) for split in splits)])
    order = np.random.default_rng(seed).permutation(bounds[-1])
    documents: list[Tokens] = []
    for index in order:
        split = int(np.searchsorted(bounds, index, side="right")) - 1
        document = splits[split][int(index - bounds[split])]
        if len(document):
            documents.append(document[:max_tokens_per_document])
        if len(documents) == num_documents:
            break
    if len(documents) < 2:
        raise CorpusError(
            f"the validation and test splits hold {len(documents)} documents with text, the probe "
            "needs 2; add documents or raise the shares of these splits"
        )
    return Sample(documents, min(MAX_GROUPS, len(documents)))
