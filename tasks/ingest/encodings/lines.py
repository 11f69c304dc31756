"""Tells the encoding of lines that are read one by one, so that a bad one costs itself alone."""

from tasks.ingest.encodings.decoding import stream_encoding
from tasks.ingest.reading.records import Reason

_LINES_TRIED = 32


def lines_encoding(
    head: bytes, is_all: bool, declared: str | None, min_confidence: float
) -> str | Reason:
    """The codec of a stream of lines; see `stream_encoding`.

    Where that is in doubt but one of the first lines is text in UTF-8, it is "utf-8": lines that
    are something else are then refused by themselves, and the good ones are not lost with them.
    """
    encoding = stream_encoding(head, is_all, declared, min_confidence)
    if isinstance(encoding, Reason) and _has_good_line(head):
        return "utf-8"
    return encoding


def _has_good_line(head: bytes) -> bool:
    return any(map(_is_text, filter(bytes.strip, head.split(b"\n")[:_LINES_TRIED])))


def _is_text(line: bytes) -> bool:
    try:
        return "\0" not in line.decode("utf-8")
    except UnicodeDecodeError:
        return False
