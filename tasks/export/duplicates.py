"""Gives documents that ingest found twice their place beside the twin that was kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.errors import ArtifactError


@dataclass(frozen=True)
class RowPlan:
    """The rows that some kept documents become: each, then its duplicates in ledger order.

    Attributes:
        sources: int64, which kept document a row's vector and metadata are taken from.
        doc_ids: each row's own id.
    """

    sources: NDArray[np.int64]
    doc_ids: pa.Array


def read_duplicates(ledger: Path, kept_doc_ids: pa.ChunkedArray) -> dict[str, list[str]]:
    """The ids of the duplicates of some kept documents, by the id of the twin.

    Raises:
        ArtifactError: the ledger is missing or damaged.

    Cost: reads three columns of the ledger, keeps only the rows asked for.
    """
    wanted = (pc.field("status") == "duplicate_of") & pc.field("kept_doc_id").isin(
        kept_doc_ids.combine_chunks()
    )
    try:
        found = pq.read_table(
            ledger,
            columns=["doc_id", "kept_doc_id"],
            filters=wanted,
            page_checksum_verification=True,
        )
    except (OSError, pa.ArrowException) as error:
        first_line = str(error).partition("\n")[0]
        raise ArtifactError(f"{ledger} cannot be read ({first_line}): run ingest again") from None
    duplicates: dict[str, list[str]] = {}
    for row in found.to_pylist():
        duplicates.setdefault(row["kept_doc_id"], []).append(row["doc_id"])
    return duplicates


def plan_rows(kept_doc_ids: list[str], duplicates: dict[str, list[str]]) -> RowPlan:
    """One row for each kept document and each of its duplicates, in corpus order."""
    groups = [[doc_id, *duplicates.get(doc_id, ())] for doc_id in kept_doc_ids]
    sources = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    doc_ids = [doc_id for group in groups for doc_id in group]
    return RowPlan(sources, pa.array(doc_ids, pa.string()))
