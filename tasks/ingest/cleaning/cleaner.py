"""Turns a record into a candidate for the corpus, or says why it is none."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.ingest.cleaning.boilerplate import strip_boilerplate
from tasks.ingest.cleaning.filters import why_dropped
from tasks.ingest.cleaning.masking import mask
from tasks.ingest.cleaning.mojibake import mend_mojibake
from tasks.ingest.cleaning.normalisation import normalise
from tasks.ingest.config import IngestConfig
from tasks.ingest.fields import Fields, fields_of
from tasks.ingest.reading.records import Reason, Record, document_name
from tasks.ingest.splits import spelled_split
from tasks.ingest.tables.csv_rows import CsvCell

NO_LINES: np.ndarray[Any, np.dtype[np.uint64]] = np.empty(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document in the form it would be kept in.

    Attributes:
        text: normalised.
        content_sha256: of the text in UTF-8, 32 bytes.
        num_bytes: of the text in UTF-8.
        given_split: what the split column says.
        metadata: values by column, not yet of their stored types.
    """

    doc_id: str
    text: str
    content_sha256: bytes
    num_bytes: int
    given_split: str | None
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A record that becomes no document.

    Attributes:
        content_sha256: of what would have been its text; None where it has none.
    """

    reason: Reason
    content_sha256: bytes | None = None


class Cleaner:
    """Judges records one by one.

    Args:
        frequent_lines: hashes of the lines to remove; see `boilerplate`.

    Attributes:
        counts: what was removed, mended or masked, by name.
    """

    def __init__(
        self,
        config: IngestConfig,
        frequent_lines: np.ndarray[Any, np.dtype[np.uint64]] = NO_LINES,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._config = config
        self._frequent_lines = frequent_lines
        self._fields: dict[tuple[tuple[str, ...], bool], Fields] = {}

    def judge(self, record: Record, source: str) -> tuple[str, Candidate | Dropped]:
        """The id that a record goes by, and the record as a candidate or why it is none."""
        fields = self._fields_of(record)
        doc_id, bad_id = self._id_of(record, fields, source)
        text = bad_id or self.text_of(record)
        if not isinstance(text, Reason):
            text = self._finished(text)
        if isinstance(text, Reason):
            return doc_id, Dropped(text)
        data = text.encode("utf-8")
        digest = hashlib.sha256(data).digest()
        if reason := self._why_unwanted(text, len(data)):
            return doc_id, Dropped(reason, digest)
        metadata = {name: record.columns[name] for name in fields.metadata}
        return doc_id, Candidate(doc_id, text, digest, len(data), self._split(record), metadata)

    def text_of(self, record: Record) -> str | Reason:
        """The record's text, mended and normalised, with all its lines."""
        text = _raw_text(record, self._fields_of(record))
        if isinstance(text, Reason):
            return text
        if self._config.mend_mojibake:
            mended = mend_mojibake(text)
            self.counts["mended_documents"] += mended != text
            text = mended
        text, removed = normalise(text)
        if removed:
            self.counts.update(removed)
        return text

    def _finished(self, text: str) -> str | Reason:
        """The text less what recurs and what is masked; a reason where nothing is left."""
        config = self._config
        if not text.strip():
            return Reason.EMPTY
        if len(self._frequent_lines):
            text = strip_boilerplate(text, self._frequent_lines)
            if not text.strip():
                return Reason.BOILERPLATE
        if config.mask_emails or config.mask_ip_addresses:
            text, num_emails, num_addresses = mask(
                text, emails=config.mask_emails, ip_addresses=config.mask_ip_addresses
            )
            self.counts["masked_emails"] += num_emails
            self.counts["masked_ip_addresses"] += num_addresses
        return text

    def _why_unwanted(self, text: str, num_bytes: int) -> Reason | None:
        config = self._config
        if config.min_characters > 1 and len(text.strip()) < config.min_characters:
            return Reason.TOO_SHORT
        reason = why_dropped(text, config)
        return reason or (Reason.TOO_LONG if num_bytes > config.max_document_bytes else None)

    def _fields_of(self, record: Record) -> Fields:
        key = (tuple(record.columns), record.text is not None)
        fields = self._fields.get(key)
        if fields is None:
            fields = self._fields[key] = fields_of(*key[:1], self._config, has_text=key[1])
        return fields

    def _id_of(self, record: Record, fields: Fields, source: str) -> tuple[str, Reason | None]:
        """Ids are kept as they are, never used as paths. Numbers become their JSON text."""
        default = document_name(source, record.number)
        if record.doc_id is not None:
            return record.doc_id, None
        value = plain(record.columns[fields.id]) if fields.id else None
        if value is None or value == "":
            return default, Reason.NO_ID if self._config.id_column else None
        if isinstance(value, bytes):
            return value.hex(), None
        if isinstance(value, bool | list | dict):
            return default, Reason.BAD_ID
        return str(value), None

    def _split(self, record: Record) -> str | None:
        if self._config.split_column is None:
            return None
        split = spelled_split(plain(record.columns.get(self._config.split_column)))
        assert split is not None, "the survey has seen every split"
        return split


def plain(value: Any) -> Any:
    """A value of any reader as a Python value."""
    if isinstance(value, CsvCell):
        return value.text
    return value.as_py() if isinstance(value, pa.Scalar) else value


def metadata_key(values: dict[str, Any]) -> bytes:
    """16 bytes that differ where metadata differ; a value that is null is as good as none."""
    named = [(name, plain(values[name])) for name in sorted(values)]
    spelled = repr([pair for pair in named if pair[1] is not None])
    return hashlib.blake2b(spelled.encode("utf-8", "backslashreplace"), digest_size=16).digest()


def _raw_text(record: Record, fields: Fields) -> str | Reason:
    if record.text is not None:
        return record.text
    if fields.text is None:
        return Reason.NO_TEXT
    text = plain(record.columns[fields.text])
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            return Reason.INVALID_UTF8
    if text is None:
        return Reason.EMPTY
    return text if isinstance(text, str) else Reason.TEXT_NOT_STRING
