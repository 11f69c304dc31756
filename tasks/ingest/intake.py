"""The second pass: judges every record, keeps the first of each text, and enters all of them."""

from collections.abc import Iterable

from tasks.ingest.cleaning import clean_document, record_id
from tasks.ingest.columns import Columns
from tasks.ingest.config import IngestConfig
from tasks.ingest.ledger import Ledger
from tasks.ingest.reading.records import Reason, Record, Refusal, document_name
from tasks.ingest.shards import ShardWriter


class Intake:
    """Takes records in corpus order.

    Memory: about 300 bytes for each distinct document (its hash and its id), no text.

    Attributes:
        num_read: records and refusals seen so far.
    """

    def __init__(
        self, columns: Columns, config: IngestConfig, shards: ShardWriter, ledger: Ledger
    ) -> None:
        self.num_read = 0
        self._columns = columns
        self._config = config
        self._shards = shards
        self._ledger = ledger
        self._kept: dict[bytes, str] = {}  # content hash -> id of the document that is kept
        self._ids: set[str] = set()  # of kept documents and of their duplicates

    def take(self, source: str, found: Iterable[Record | Refusal]) -> None:
        """Take in all that was found in a file; of a file without any record, that it is empty."""
        before = self.num_read
        for item in found:
            self.num_read += 1
            if isinstance(item, Refusal):
                self._ledger.refuse(document_name(source, item.number), source, item)
            else:
                self._judge(item, source)
        if self.num_read == before:
            self.num_read += 1
            self._ledger.refuse(source, source, Refusal(None, Reason.EMPTY))

    def _judge(self, record: Record, source: str) -> None:
        doc_id, bad_id = record_id(record, source, self._columns)
        document = bad_id or clean_document(doc_id, record, source, self._columns, self._config)
        if isinstance(document, Reason):
            self._refuse(doc_id, source, record, document)
            return
        kept_doc_id = self._kept.get(document.content_sha256)
        if kept_doc_id is not None:
            self._ids.add(doc_id)
            self._ledger.duplicate(doc_id, kept_doc_id)
        elif doc_id in self._ids:
            self._refuse(doc_id, source, record, Reason.DUPLICATE_ID)
        else:
            self._kept[document.content_sha256] = doc_id
            self._ids.add(doc_id)
            self._shards.add(document)
            self._ledger.keep(document)

    def _refuse(self, doc_id: str, source: str, record: Record, reason: Reason) -> None:
        refusal = Refusal(record.number, reason, record.byte_offset, record.preview)
        self._ledger.refuse(doc_id, source, refusal)
