"""Turns candidates and refusals into batches of the row table."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from model.errors import CorpusError
from tasks.ingest.cleaning.cleaner import Candidate, metadata_key
from tasks.ingest.column_types import to_array
from tasks.ingest.duplicates.signatures import sign
from tasks.ingest.reading.records import Record, Refusal
from tasks.ingest.rows import (
    BYTES_PER_BATCH,
    KEY_BYTES,
    LIGHT_NAMES,
    ROWS_PER_BATCH,
    SIGNATURE_NAMES,
    fixed_column,
    row_schema,
)


class RowBuilder:
    """Collects rows in corpus order.

    Attributes:
        is_full: whether what waits should be taken out, so that memory stays bounded.
    """

    def __init__(
        self, near_duplicate_threshold: float | None, metadata: Mapping[str, pa.DataType]
    ) -> None:
        self.schema = row_schema(near_duplicate_threshold, metadata)
        self._threshold = near_duplicate_threshold
        self._metadata = dict(metadata)
        self._clear()

    @property
    def is_full(self) -> bool:
        return len(self._rows) >= ROWS_PER_BATCH or self._num_bytes >= BYTES_PER_BATCH

    def add(self, file: str, source: str, record: Record, candidate: Candidate) -> None:
        """Take in a candidate."""
        self._rows.append(
            (
                file,
                candidate.doc_id,
                source,
                None,
                record.byte_offset,
                record.num_bytes,
                None,
                id_key(candidate.doc_id),
                candidate.content_sha256,
                metadata_key(candidate.metadata),
                candidate.num_bytes,
                candidate.given_split,
            )
        )
        self._texts.append(candidate.text)
        self._values.append(candidate.metadata)
        self._num_bytes += candidate.num_bytes

    def refuse(self, file: str, source: str, doc_id: str, refusal: Refusal) -> None:
        """Take in something that is no document."""
        place = (refusal.byte_offset, refusal.num_bytes, escape(refusal.preview))
        self._rows.append((file, doc_id, source, refusal.reason.value, *place, *[None] * 5))
        self._texts.append(None)
        self._values.append({})
        self._num_bytes += len(refusal.preview)

    def take(self) -> pa.RecordBatch | None:
        """All rows that wait, as one batch; None where there are none."""
        if not self._rows:
            return None
        columns = dict(zip(LIGHT_NAMES, zip(*self._rows, strict=True), strict=True))
        arrays = [pa.array(columns[name], self.schema.field(name).type) for name in LIGHT_NAMES]
        if self._threshold is not None:
            arrays += self._signatures(self._threshold)
        arrays.append(pa.array(self._texts, pa.string()))
        arrays += [self._column(name, found) for name, found in self._metadata.items()]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        self._clear()
        return batch

    def _clear(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._texts: list[str | None] = []
        self._values: list[dict[str, Any]] = []
        self._num_bytes = 0

    def _signatures(self, threshold: float) -> list[pa.Array]:
        places = [place for place, text in enumerate(self._texts) if text is not None]
        found = sign([text for text in self._texts if text is not None], threshold)
        arrays = []
        for name in SIGNATURE_NAMES:
            values = getattr(found, name)
            spread = np.zeros((len(self._texts), *values.shape[1:]), values.dtype)
            spread[places] = values
            is_flag = values.dtype == np.bool_
            arrays.append(pa.array(spread) if is_flag else fixed_column(spread))
        return arrays

    def _column(self, name: str, found: pa.DataType) -> pa.Array:
        return metadata_array(name, [values.get(name) for values in self._values], found)


def metadata_array(name: str, values: Sequence[Any], found: pa.DataType) -> pa.Array:
    """Values of one column as they are stored.

    Raises:
        CorpusError: the type cannot hold one of them.
    """
    try:
        return to_array(values, found)
    except pa.ArrowInvalid as error:
        raise CorpusError(
            f"column {name!r} has a value that its type, {found}, cannot hold "
            f"({error}): give the column one type in all files"
        ) from None


def id_key(doc_id: str) -> bytes:
    """16 bytes that stand for an id of any length."""
    return hashlib.blake2b(doc_id.encode("utf-8"), digest_size=KEY_BYTES).digest()


def escape(data: bytes) -> str:
    """Bytes as one line of printable text; what is not printable is spelled out."""
    text = data.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode("ascii")
        for mark in text
    )
