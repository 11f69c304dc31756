"""Reads CSV with a header line: each row is one record."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Self

from model.errors import CorpusError
from tasks.ingest.fields import first_of
from tasks.ingest.reading.records import PREVIEW_BYTES, FileRefusedError, Reason, Record, Refusal
from tasks.ingest.reading.streams import Line, read_lines, without_bom
from tasks.ingest.tables.table_heads import pick_delimiter

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
    pieces: Iterable[bytes], *, source: str, text_columns: Sequence[str], max_bytes: int
) -> Iterator[Record | Refusal]:
    """The rows of a file after its header.

    The delimiter (comma, tab, semicolon or bar) is found from the header. A row with another
    number of fields, or that cannot be read, is refused by itself.

    Args:
        text_columns: names of columns that hold text, the likeliest first.

    Raises:
        CorpusError: two columns share a name.
        FileRefusedError: the header cannot be read.
    """
    rows = _Rows(pieces, text_columns, max_bytes)
    header = next(rows, None)
    if header is None:
        return
    if isinstance(header, Refusal):
        raise FileRefusedError(header.reason, 0)
    _check_header(header, source)
    text_column = first_of(text_columns, header, None)
    for row in rows:
        if isinstance(row, Refusal):
            yield row
        elif len(row) != len(header):
            yield rows.refuse(Reason.WRONG_FIELD_COUNT)
        else:
            yield rows.record(_columns(header, row, text_column))


def _columns(header: list[str], row: list[str], text_column: str | None) -> dict[str, Any]:
    columns: dict[str, Any] = dict(zip(header, map(read_cell, row), strict=True))
    if text_column is not None:
        columns[text_column] = columns[text_column].text
    return columns


def _check_header(header: list[str], source: str) -> None:
    seen = set()
    for name in header:
        if name in seen:
            raise CorpusError(f"{source} has two columns named {name!r}: rename one of them")
        seen.add(name)


class _Rows:
    """Rows as lists of fields, or as refusals, with where they stand. The header is number -1."""

    def __init__(
        self, pieces: Iterable[bytes], text_columns: Sequence[str], max_bytes: int
    ) -> None:
        self._number = -2
        self._lines = _Lines(pieces, max_bytes)
        delimiter = pick_delimiter(self._lines.peek(), text_columns)
        # The limit is the module's, not the reader's; ours is kept by _Lines.
        csv.field_size_limit(max(csv.field_size_limit(), max_bytes + 1))
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[str] | Refusal:
        """The next row that is not blank."""
        row: list[str] | Reason = []
        while not row:
            self._lines.begin_row()
            row = self._read()
        self._number += 1
        return self.refuse(row) if isinstance(row, Reason) else row

    def _read(self) -> list[str] | Reason:
        try:
            row = next(self._reader)
        except _TooLongError:
            return Reason.TOO_LONG
        except csv.Error:
            return Reason.BAD_CSV
        return Reason.INVALID_UTF8 if self._lines.has_bad_bytes else row

    def record(self, columns: dict[str, Any]) -> Record:
        """The current row as a record."""
        lines = self._lines
        return Record(
            self._number,
            lines.row_offset,
            columns,
            preview=lines.preview,
            num_bytes=lines.row_bytes,
        )

    def refuse(self, reason: Reason) -> Refusal:
        """The current row as a refusal."""
        lines = self._lines
        return Refusal(self._number, reason, lines.row_offset, lines.preview, lines.row_bytes)


class _TooLongError(Exception):
    pass


class _Lines:
    """Lines for `csv.reader`, with what is known of the row that they belong to.

    An iterator of its own, not a generator, because it goes on after an error.

    Attributes:
        row_bytes: without the last newline; None where the row is too long to know.
        has_bad_bytes: whether something in the row is not UTF-8.
    """

    def __init__(self, pieces: Iterable[bytes], max_bytes: int) -> None:
        self._lines = read_lines(pieces, max_bytes)
        self._max_bytes = max_bytes
        self._peeked: Line | None = None
        self.begin_row()

    def peek(self) -> str:
        self._peeked = next(self._lines, None)
        return self._text(self._peeked).strip("\r\n") if self._peeked else ""

    def begin_row(self) -> None:
        self.row_offset, self.preview = 0, b""
        self.row_bytes: int | None = None
        self.has_bad_bytes = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._peeked or next(self._lines)
        self._peeked = None
        if self.row_bytes is None:
            self.row_offset, self.preview = line.offset, line.data[:PREVIEW_BYTES]
        self.row_bytes = line.offset + len(line.data) - self.row_offset
        if not line.is_whole or self.row_bytes > self._max_bytes:
            self.row_bytes = None
            raise _TooLongError
        return self._text(line)

    def _text(self, line: Line) -> str:
        data = without_bom(line)
        try:
            return data.decode("utf-8") + "\n"
        except UnicodeDecodeError:
            self.has_bad_bytes = True
            return data.decode("utf-8", "replace") + "\n"
