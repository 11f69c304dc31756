"""The ledger, which answers for every input document, and the quarantine with its evidence."""

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from tasks.ingest.cleaning import CleanDocument
from tasks.ingest.reading.records import Reason, Refusal
from tasks.ingest.tables import TableWriter

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
        ("preview", pa.string()),
    ]
)
KEPT, DUPLICATE, DROPPED, QUARANTINED = "kept", "duplicate_of", "dropped", "quarantined"
_MAX_EXAMPLES = 3


class Ledger:
    """Writes ``ledger.parquet`` and ``quarantine.parquet``, and counts.

    Attributes:
        statuses: documents by status.
        reasons: dropped and quarantined documents by reason.
        num_documents, num_text_bytes: kept documents and their UTF-8 bytes by split.
        examples: the first few quarantined documents, for messages.
    """

    def __init__(self, folder: Path) -> None:
        self.statuses: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.num_documents: Counter[str] = Counter()
        self.num_text_bytes: Counter[str] = Counter()
        self.examples: list[str] = []
        self._ledger = TableWriter(folder / "ledger.parquet", LEDGER_SCHEMA)
        self._quarantine = TableWriter(folder / "quarantine.parquet", QUARANTINE_SCHEMA)

    def keep(self, document: CleanDocument) -> None:
        """Enter a kept document."""
        self._enter(document.doc_id, KEPT, None, document.doc_id)
        self.num_documents[document.split] += 1
        self.num_text_bytes[document.split] += document.num_bytes

    def duplicate(self, doc_id: str, kept_doc_id: str) -> None:
        """Enter a document whose text another one already has."""
        self._enter(doc_id, DUPLICATE, None, kept_doc_id)

    def refuse(self, doc_id: str, source: str, refusal: Refusal) -> None:
        """Enter a document that is dropped or quarantined."""
        reason: Reason = refusal.reason
        self.reasons[reason.value] += 1
        if reason.is_drop:
            self._enter(doc_id, DROPPED, reason, None)
            return
        self._enter(doc_id, QUARANTINED, reason, None)
        preview = escape(refusal.preview)
        row = (doc_id, source, reason.value, refusal.byte_offset, preview)
        self._quarantine.add(row, len(preview))
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(f"{doc_id[:100]} ({reason.value})")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ledger.__exit__(kind, error, trace)
        self._quarantine.__exit__(kind, error, trace)

    def _enter(
        self, doc_id: str, status: str, reason: Reason | None, kept_doc_id: str | None
    ) -> None:
        self.statuses[status] += 1
        row = (doc_id, status, reason and reason.value, kept_doc_id)
        self._ledger.add(row, len(doc_id))


def escape(data: bytes) -> str:
    """Bytes as one line of printable text; what is not printable is spelled out."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode("ascii")
        for mark in text
    )
