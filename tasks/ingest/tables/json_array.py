"""Reads JSON that is not one object a line: an array of records, or objects in a row."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tasks.ingest.fields import USUAL_TEXTS, first_of
from tasks.ingest.reading.records import PREVIEW_BYTES, Reason, Record, Refusal
from tasks.ingest.tables.json_scan import JsonStream, RawValue
from tasks.ingest.tables.json_values import RefusedValueError, decode_object, decode_string

Found = Iterator[Record | Refusal]


def read_json_array(
    pieces: Iterable[bytes], *, max_bytes: int, text_columns: Sequence[str] = USUAL_TEXTS
) -> Found:
    """The records of a file: the elements of its array, or its objects one after another.

    What the first one is decides: objects have columns; strings are texts without columns;
    arrays of anything else are unsupported. So is an object without a text column: settings, an
    index, a table wrapped into something. An element longer than `max_bytes`, or that cannot be
    trusted (see `decode_value`), is refused by itself; where the file breaks, its rest is.

    Args:
        text_columns: names by which an object that stands outside an array is known as a document.
    """
    stream = JsonStream(pieces)
    if stream.peek() == b"[":
        yield from _read_array(stream, max_bytes)
    else:
        yield from _read_objects(stream, max_bytes, text_columns)


def _read_array(stream: JsonStream, max_bytes: int) -> Found:
    stream.skip()
    if (first := stream.peek()) == b"]":
        yield from _end_array(stream)
    elif first == b"{":
        yield from _read_elements(stream, max_bytes, _object_record)
    elif first == b'"':
        yield from _read_elements(stream, max_bytes, _text_record)
    else:
        reason = Reason.UNSUPPORTED if first else Reason.BAD_JSON
        yield Refusal(None, reason, stream.offset)


def _read_elements(
    stream: JsonStream, max_bytes: int, to_record: Callable[[int, RawValue], Record]
) -> Found:
    number = 0
    while stream.peek() not in b",]}:":  # nor at the end
        raw = stream.take(max_bytes)
        if not raw.is_closed:
            yield Refusal(None, Reason.BAD_JSON, raw.offset, raw.data[:PREVIEW_BYTES])
            return
        yield _checked(number, raw, to_record)
        number += 1
        if (mark := stream.peek()) == b"]":
            yield from _end_array(stream)
            return
        if mark != b",":
            break
        stream.skip()
    yield Refusal(None, Reason.BAD_JSON, stream.offset)


def _end_array(stream: JsonStream) -> Found:
    stream.skip()
    if stream.peek():
        yield Refusal(None, Reason.BAD_JSON, stream.offset)


def _read_objects(stream: JsonStream, max_bytes: int, text_columns: Sequence[str]) -> Found:
    number = 0
    while stream.peek() == b"{":
        raw = stream.take(max_bytes)
        found = _checked(number, raw, _object_record)
        if number == 0 and not _is_document(found, raw, text_columns):
            yield Refusal(None, Reason.UNSUPPORTED, raw.offset)
            return
        yield found
        number += 1
    if stream.peek():
        reason = Reason.BAD_JSON if number else Reason.UNSUPPORTED
        yield Refusal(None, reason, stream.offset)


def _is_document(found: Record | Refusal, raw: RawValue, text_columns: Sequence[str]) -> bool:
    """Whether a lone object has a text column; of one that is broken, whether it seems so."""
    if isinstance(found, Record):
        return first_of(text_columns, tuple(found.columns), None) is not None
    names = "|".join(map(re.escape, text_columns))
    return re.search(rf'"(?:{names})"\s*:'.encode(), raw.data, re.IGNORECASE) is not None


def _checked(
    number: int, raw: RawValue, to_record: Callable[[int, RawValue], Record]
) -> Record | Refusal:
    try:
        if raw.fits:
            return to_record(number, raw)
        reason = Reason.TOO_LONG
    except RefusedValueError as refused:
        reason = refused.reason
    return Refusal(number, reason, raw.offset, raw.data[:PREVIEW_BYTES], raw.num_bytes)


def _object_record(number: int, raw: RawValue) -> Record:
    columns: dict[str, Any] = decode_object(raw.data)
    preview = raw.data[:PREVIEW_BYTES]
    return Record(number, raw.offset, columns, preview=preview, num_bytes=raw.num_bytes)


def _text_record(number: int, raw: RawValue) -> Record:
    text = decode_string(raw.data)
    preview = raw.data[:PREVIEW_BYTES]
    return Record(number, raw.offset, {}, preview=preview, text=text, num_bytes=raw.num_bytes)
