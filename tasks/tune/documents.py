"""Which documents can be trained on, or looked for by their halves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import CorpusError
from model.spans import distinct_documents, least_tokens
from tasks.stage import Reporter
from tasks.tune.config import TuneConfig

TokenIds = NDArray[Any]

LEAST_DOCUMENTS = 8


@dataclass(frozen=True)
class Usable:
    """Documents that are long enough for two spans, each content once.

    Attributes:
        documents: their token ids, in corpus order.
        num_short: documents that were left out as too short.
        num_duplicates: documents that were left out as copies of an earlier one.
    """

    documents: list[TokenIds]
    num_short: int
    num_duplicates: int


def usable_documents(documents: Sequence[TokenIds], span_min_tokens: int) -> Usable:
    """Leave out what is too short for two spans, then copies."""
    least = least_tokens(span_min_tokens)
    long_enough = [document for document in documents if len(document) >= least]
    distinct = [long_enough[index] for index in distinct_documents(long_enough)]
    return Usable(distinct, len(documents) - len(long_enough), len(long_enough) - len(distinct))


def training_documents(
    documents: Sequence[TokenIds], config: TuneConfig, report: Reporter
) -> Usable:
    """The documents to draw spans from; says what it had to leave out.

    Raises:
        CorpusError: fewer than eight are left, too few to be each other's negatives.
    """
    usable = usable_documents(documents, config.span_min_tokens)
    left_out = f"{usable.num_short} too short for two spans, {usable.num_duplicates} copies"
    if len(usable.documents) < LEAST_DOCUMENTS:
        raise CorpusError(
            f"tune can use {len(usable.documents)} of {len(documents)} train documents "
            f"({left_out}) and needs {LEAST_DOCUMENTS}: lower tune.span_min_tokens "
            f"({config.span_min_tokens}) or add documents"
        )
    report.message(f"tune uses {len(usable.documents)} of {len(documents)} documents ({left_out})")
    return usable


def validation_documents(documents: Sequence[TokenIds], config: TuneConfig) -> list[TokenIds]:
    """At most `config.validation_documents`, evenly spread over the corpus."""
    usable = usable_documents(documents, config.span_min_tokens).documents
    num_wanted = min(len(usable), config.validation_documents)
    picked = np.linspace(0, len(usable) - 1, num_wanted).round().astype(int)
    return [usable[index] for index in picked]
