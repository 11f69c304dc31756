"""Turns a record into a clean document, or says why it is none."""

import hashlib
import unicodedata
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tasks.ingest.columns import Columns
from tasks.ingest.config import IngestConfig
from tasks.ingest.reading.csv_rows import CsvCell
from tasks.ingest.reading.records import Reason, Record, document_name
from tasks.ingest.splits import draw_split, spelled_split


@dataclass(frozen=True, slots=True)
class CleanDocument:
    """A document in the form it is kept in.

    Attributes:
        text: in Unicode normal form C.
        content_sha256: of the text in UTF-8, 32 bytes.
        num_bytes: of the text in UTF-8.
        metadata: values in the order of `Columns.metadata`, not yet of their stored types.
    """

    doc_id: str
    text: str
    content_sha256: bytes
    num_bytes: int
    source: str
    split: str
    metadata: list[Any]


def record_id(record: Record, source: str, columns: Columns) -> tuple[str, Reason | None]:
    """The id that a record goes by, and the reason for refusing it where its own id is no good.

    Ids are kept as they are, never used as paths. Numbers become their JSON text.
    """
    default = document_name(source, record.number)
    if record.doc_id is not None:
        return record.doc_id, None
    value = _plain(record.columns.get(columns.id)) if columns.id else None
    if value is None or value == "":
        return default, Reason.NO_ID if columns.id_is_required else None
    if isinstance(value, bytes):
        return value.hex(), None
    if isinstance(value, bool | list | dict):
        return default, Reason.BAD_ID
    return str(value), None


def clean_document(
    doc_id: str, record: Record, source: str, columns: Columns, config: IngestConfig
) -> CleanDocument | Reason:
    """The record as a document, or why it is dropped or quarantined."""
    text = _clean_text(record, columns, config)
    if isinstance(text, Reason):
        return text
    data = text.encode("utf-8")
    if len(data) > config.max_document_bytes:
        return Reason.TOO_LONG
    digest = hashlib.sha256(data).digest()
    split = _split_of(record, digest, columns, config)
    metadata = [record.columns.get(name) for name in columns.metadata]
    return CleanDocument(doc_id, text, digest, len(data), source, split, metadata)


def _clean_text(record: Record, columns: Columns, config: IngestConfig) -> str | Reason:
    if columns.text not in record.columns:
        return Reason.NO_TEXT
    text = _plain(record.columns[columns.text])
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            return Reason.INVALID_UTF8
    if text is None:
        return Reason.EMPTY
    if not isinstance(text, str):
        return Reason.TEXT_NOT_STRING
    num_characters = len(text.strip())
    if num_characters < config.min_characters:
        return Reason.TOO_SHORT if num_characters else Reason.EMPTY
    return unicodedata.normalize("NFC", text)


def _split_of(record: Record, digest: bytes, columns: Columns, config: IngestConfig) -> str:
    if columns.split is None:
        return draw_split(
            digest,
            seed=config.seed,
            validation_frac=config.validation_frac,
            test_frac=config.test_frac,
        )
    split = spelled_split(_plain(record.columns.get(columns.split)))
    assert split is not None, "the survey has seen every split"
    return split


def _plain(value: Any) -> Any:
    if isinstance(value, CsvCell):
        return value.text
    return value.as_py() if isinstance(value, pa.Scalar) else value
