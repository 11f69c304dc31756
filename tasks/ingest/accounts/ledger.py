"""The ledger, which answers for every input document, and the quarantine with its evidence."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest.decide import DROPPED, KEPT, NEAR_DUPLICATE, QUARANTINED
from tasks.ingest.shards import iter_rows

LEDGER_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("kept_doc_id", pa.string()),
    ]
)
QUARANTINE_SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("reason", pa.string()),
        ("byte_offset", pa.int64()),
        ("num_bytes", pa.int64()),
        ("preview", pa.string()),
    ]
)
_EXAMPLES_PER_REASON = 3
_COLUMNS = [
    *("file", "doc_id", "source", "status", "reason", "decision", "kept_doc_id", "split"),
    *("byte_offset", "num_bytes", "preview", "num_text_bytes"),
]


@dataclass
class Example:
    """One document that was not taken, as evidence for its reason."""

    doc_id: str
    preview: str


@dataclass
class Accounts:
    """Counts over the whole corpus.

    Attributes:
        statuses: documents by status.
        reasons: dropped and quarantined documents by reason.
        num_near_duplicates: duplicates that are similar, not equal.
        num_documents, num_text_bytes: kept documents and their UTF-8 bytes by split.
        files: of each source file its documents by status, and by reason.
        examples: the first few documents of each reason.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    num_near_duplicates: int = 0
    num_documents: Counter[str] = field(default_factory=Counter)
    num_text_bytes: Counter[str] = field(default_factory=Counter)
    files: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    examples: dict[str, list[Example]] = field(default_factory=lambda: defaultdict(list))

    def add(self, rows: pa.Table) -> None:
        """Count judged rows; `reason` is the final one."""
        for group in _counted(rows, ["file", "status", "reason"]):
            file, status, reason, number = group
            self.statuses[status] += number
            self.files[file][status] += number
            if status in (DROPPED, QUARANTINED):
                self.reasons[reason] += number
                self.files[file][f"reason {reason}"] += number
            elif reason == NEAR_DUPLICATE:
                self.num_near_duplicates += number
        kept = rows.filter(pc.field("status") == KEPT)
        for split, number in _counted(kept, ["split"]):
            self.num_documents[split] += number
        sums = kept.group_by("split").aggregate([("num_text_bytes", "sum")])
        for row in sums.to_pylist():
            self.num_text_bytes[row["split"]] += row["num_text_bytes_sum"]
        self._keep_examples(rows)

    def _keep_examples(self, rows: pa.Table) -> None:
        odd = rows.filter(pc.is_in(rows["status"], pa.array([DROPPED, QUARANTINED])))
        for reason in odd["reason"].unique().to_pylist():
            room = _EXAMPLES_PER_REASON - len(self.examples[reason])
            for row in odd.filter(pc.field("reason") == reason).slice(0, room).to_pylist():
                self.examples[reason].append(Example(row["doc_id"][:200], row["preview"] or ""))


def write_ledger(rows: Iterable[Path], folder: Path) -> Accounts:
    """Write ``ledger.parquet`` and ``quarantine.parquet`` from the parts' rows, and count."""
    accounts = Accounts()
    with (
        _open(folder / "ledger.parquet", LEDGER_SCHEMA) as ledger,
        _open(folder / "quarantine.parquet", QUARANTINE_SCHEMA) as quarantine,
    ):
        for batch in iter_rows(list(rows), _COLUMNS):
            table = pa.Table.from_batches([batch])
            reason = pc.coalesce(table["reason"], table["decision"])
            table = table.set_column(table.column_names.index("reason"), "reason", reason)
            accounts.add(table)
            ledger.write_table(_fit(table, LEDGER_SCHEMA))
            refused = table.filter(pc.field("status") == QUARANTINED)
            if refused.num_rows:
                quarantine.write_table(_fit(refused, QUARANTINE_SCHEMA))
    return accounts


def _counted(rows: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    found = rows.group_by(names, use_threads=False).aggregate([([], "count_all")])
    return [tuple(row[name] for name in (*names, "count_all")) for row in found.to_pylist()]


def _open(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table.select(schema.names).cast(schema)
