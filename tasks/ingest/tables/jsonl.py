"""Reads JSON lines: each line is one object, one record."""

from collections.abc import Iterable, Iterator

from tasks.ingest.reading.records import PREVIEW_BYTES, Reason, Record, Refusal
from tasks.ingest.reading.streams import Line, read_lines, without_bom
from tasks.ingest.tables.json_values import RefusedValueError, decode_object


def read_jsonl(pieces: Iterable[bytes], *, max_bytes: int) -> Iterator[Record | Refusal]:
    """The records of a file, one a line that is not blank.

    A line longer than `max_bytes`, or that cannot be trusted (see `decode_value`), is refused by
    itself.
    """
    number = 0
    for line in read_lines(pieces, max_bytes):
        data = without_bom(line)
        if data.strip():
            yield _read_line(line, data, number)
            number += 1


def _read_line(line: Line, data: bytes, number: int) -> Record | Refusal:
    preview = data[:PREVIEW_BYTES]
    if not line.is_whole:
        return Refusal(number, Reason.TOO_LONG, line.offset, preview)
    num_bytes = len(line.data)
    try:
        columns = decode_object(data)
    except RefusedValueError as refused:
        return Refusal(number, refused.reason, line.offset, preview, num_bytes)
    return Record(number, line.offset, columns, preview=preview, num_bytes=num_bytes)
