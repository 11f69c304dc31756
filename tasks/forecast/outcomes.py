"""What every system did on the same queries, at each share of the text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.errors import ArtifactError, CorpusError
from model.forecast import Floats
from tasks.system_names import EMBEDDER, HALF_DOCUMENT, is_layer

MEASURE = "recall_at_1"
_CUT = f"{EMBEDDER}_dim_"  # the embedder cut to fewer dimensions is no system of its own
_COLUMNS = ["system", "doc_id", "value"]


@dataclass(frozen=True)
class Outcomes:
    """Answers to queries that were asked at every share of the text.

    Attributes:
        num_queries: of them.
        values_of: by system, embedder first, for each share one value in [0, 1] a query, float64.
    """

    num_queries: int
    values_of: dict[str, list[Floats]]


def read_outcomes(paths: Sequence[Path]) -> Outcomes:
    """Half-document recall@1 of every system that was scored at all shares.

    Args:
        paths: each share's `outcomes.parquet`.

    Raises:
        ArtifactError: one cannot be read, or has no value of the embedder.
        CorpusError: they have no query in common.
    """
    tables = [_read(path) for path in paths]
    systems = [
        system
        for system in tables[0]
        if all(system in table for table in tables)
        and not (system.startswith(_CUT) or is_layer(system))
    ]
    doc_ids = sorted(set.intersection(*(set(table[EMBEDDER]) for table in tables)))
    if not doc_ids:
        raise CorpusError(
            "the evaluations of the text's parts have no test document in common: keep the files "
            "as they are while a forecast is made, and make it again"
        )
    return Outcomes(
        num_queries=len(doc_ids),
        values_of={
            system: [np.array([table[system][doc_id] for doc_id in doc_ids]) for table in tables]
            for system in systems
        },
    )


def _read(path: Path) -> dict[str, dict[str, float]]:
    """By system, the value of each document."""
    asked = (pc.field("task") == HALF_DOCUMENT) & (pc.field("measure") == MEASURE)
    try:
        table = pq.read_table(
            path, columns=_COLUMNS, filters=asked, page_checksum_verification=True
        )
    except (OSError, pa.ArrowException) as error:
        first_line = str(error).partition("\n")[0]
        raise ArtifactError(f"{path} cannot be read ({first_line}): run evaluate again") from None
    values: dict[str, dict[str, float]] = {}
    for system, doc_id, value in zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True):
        values.setdefault(system, {})[doc_id] = value
    if EMBEDDER not in values:
        raise ArtifactError(f"{path} has no answer of the embedder: run evaluate again")
    return values
