"""Reads a text file: the whole of it is one document."""

from collections.abc import Iterable, Iterator

from tasks.ingest.reading.records import PREVIEW_BYTES, Reason, Record, Refusal, document_name
from tasks.ingest.reading.streams import UTF8_BOM


def read_plain_text(
    pieces: Iterable[bytes], *, source: str, text_column: str, max_bytes: int
) -> Iterator[Record | Refusal]:
    """The file as one record, its text under `text_column`; refused once it passes `max_bytes`.

    Its id is the file's name with ``#0``, also where an id column is asked of tables.
    """
    content = bytearray()
    for piece in pieces:
        content += piece
        if len(content) > max_bytes:
            yield Refusal(0, Reason.TOO_LONG, 0, bytes(content[:PREVIEW_BYTES]))
            return
    data = bytes(content).removeprefix(UTF8_BOM)
    try:
        text = data.decode("utf-8")
        yield Record(0, 0, {text_column: text}, document_name(source, 0), data[:PREVIEW_BYTES])
    except UnicodeDecodeError as error:
        yield Refusal(0, Reason.INVALID_UTF8, error.start, data[error.start :][:PREVIEW_BYTES])
