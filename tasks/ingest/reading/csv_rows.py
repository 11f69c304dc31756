"""Reads CSV with a header line: each row is one record."""

import csv
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

from model.errors import CorpusError
from tasks.ingest.reading.formats import pick_delimiter
from tasks.ingest.reading.records import PREVIEW_BYTES, FileRefusedError, Reason, Record, Refusal
from tasks.ingest.reading.streams import Line, read_lines, without_bom

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?")
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False}


class CsvCell(NamedTuple):
    """A cell as it stands in the file, and the value it can be read as."""

    text: str
    value: bool | int | float | str | None


def read_cell(text: str) -> CsvCell:
    """Type a cell. Digits with a leading zero or a plus stay text (codes, phone numbers)."""
    if not text:
        return CsvCell(text, None)
    if _INTEGER.fullmatch(text):
        return CsvCell(text, int(text))
    if _DECIMAL.fullmatch(text) and len(text) < 300:
        return CsvCell(text, float(text))
    return CsvCell(text, _BOOLEANS.get(text, text))


def read_csv(
    pieces: Iterable[bytes], *, source: str, text_column: str, max_bytes: int
) -> Iterator[Record | Refusal]:
    """The rows of a file after its header.

    The delimiter (comma, tab, semicolon or bar) is found from the header. A row with another
    number of fields, or that cannot be read, is refused by itself.

    Raises:
        CorpusError: two columns share a name.
    """
    rows = _Rows(pieces, text_column, max_bytes)
    header = next(rows, None)
    if header is None:
        return
    if isinstance(header, Refusal):
        raise FileRefusedError(header.reason, 0)
    _check_header(header, source)
    for row in rows:
        if isinstance(row, Refusal):
            yield row
        elif len(row) != len(header):
            yield rows.refuse(Reason.WRONG_FIELD_COUNT)
        else:
            columns = _columns(header, row, text_column)
            yield Record(rows.number, rows.offset, columns, preview=rows.preview)


def _columns(header: list[str], row: list[str], text_column: str) -> dict[str, Any]:
    columns: dict[str, Any] = dict(zip(header, map(read_cell, row), strict=True))
    if text_column in columns:
        columns[text_column] = columns[text_column].text
    return columns


def _check_header(header: list[str], source: str) -> None:
    for name in header:
        if header.count(name) > 1:
            raise CorpusError(f"{source} has two columns named {name!r}: rename one of them")


class _Rows:
    """Rows as lists of fields, or as refusals, with where they begin. The header is number -1."""

    def __init__(self, pieces: Iterable[bytes], text_column: str, max_bytes: int) -> None:
        self.number = -2
        self.offset = 0
        self.preview = b""
        self._lines = _Lines(pieces, max_bytes)
        first = self._lines.peek()
        delimiter = pick_delimiter(first, text_column)
        # The limit is the module's, not the reader's; ours is kept by _Lines.
        csv.field_size_limit(max(csv.field_size_limit(), max_bytes + 1))
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[str] | Refusal:
        """The next row that is not blank."""
        row: list[str] | Refusal = []
        while not row:
            self._lines.begin_row()
            row = self._read()
        return row

    def _read(self) -> list[str] | Refusal:
        try:
            row = next(self._reader)
        except _TooLongError:
            return self._refuse_next(Reason.TOO_LONG)
        except csv.Error:
            return self._refuse_next(Reason.BAD_CSV)
        if not row:
            return row
        self._count()
        has_bad_bytes = any("\udc80" <= mark <= "\udcff" for mark in _odd("".join(row)))
        return self.refuse(Reason.INVALID_UTF8) if has_bad_bytes else row

    def refuse(self, reason: Reason) -> Refusal:
        """The current row as a refusal."""
        return Refusal(self.number, reason, self.offset, self.preview)

    def _refuse_next(self, reason: Reason) -> Refusal:
        self._count()
        return self.refuse(reason)

    def _count(self) -> None:
        self.number += 1
        self.offset, self.preview = self._lines.row_offset, self._lines.preview


def _odd(text: str) -> str:
    return "" if text.isascii() else text


class _TooLongError(Exception):
    pass


class _Lines:
    """Lines for `csv.reader`. Invalid bytes become lone surrogates, to be found in their row.

    An iterator of its own, not a generator, because it goes on after an error.
    """

    def __init__(self, pieces: Iterable[bytes], max_bytes: int) -> None:
        self.row_offset = 0
        self.preview = b""
        self._lines = read_lines(pieces, max_bytes)
        self._max_bytes = max_bytes
        self._row_bytes = 0
        self._peeked: Line | None = None

    def peek(self) -> str:
        self._peeked = next(self._lines, None)
        return self._text(self._peeked).strip("\r\n") if self._peeked else ""

    def begin_row(self) -> None:
        self._row_bytes = 0
        self.preview = b""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._peeked or next(self._lines)
        self._peeked = None
        if self._row_bytes == 0:
            self.row_offset, self.preview = line.offset, line.data[:PREVIEW_BYTES]
        self._row_bytes += len(line.data) + 1
        if not line.is_whole or self._row_bytes > self._max_bytes + 1:
            raise _TooLongError
        return self._text(line)

    def _text(self, line: Line) -> str:
        return without_bom(line).decode("utf-8", "surrogateescape") + "\n"
