"""Reads files of people's judgements: JSON lines, CSV, TSV or Parquet, compressed or not."""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from model.errors import RequestError
from model.json_files import parse_json
from tasks.named_tables import lines_of, opened, parquet_rows

_DELIMITERS = ",\t;|"
_MAX_CHARACTERS = 2**25  # of a line or a value; documents may be asked with
_HALF_CHARACTERS = re.compile("[\ud800-\udfff]")  # JSON can spell them, no text can hold them
_DAMAGE = (OSError, ValueError, csv.Error)


@dataclass(frozen=True)
class JudgedFile:
    """A file of judgements that a setting names; every complaint names both.

    Attributes:
        path: a local file; its format and compression are told by its first bytes.
        setting: such as ``evaluate.relevance``.
    """

    path: Path
    setting: str

    def rows(self, columns: Sequence[str]) -> Iterator["JudgedRow"]:
        """The rows in order, streamed.

        Args:
            columns: that each row must have.

        Raises:
            RequestError: the file is missing or damaged, a row lacks a column, or there is no row.
        """
        number = 0
        try:
            for number, values in enumerate(self._values(columns), start=1):
                self._check_columns(values, columns, number)
                yield JudgedRow(self, number, values)
        except RequestError:
            raise
        except _DAMAGE as bad:
            first_line = str(bad).partition("\n")[0]
            raise self.complaint(f"cannot be read ({first_line}): name a whole file") from None
        if number == 0:
            raise self.complaint(f"has no rows: give it rows of {', '.join(columns)}")

    def complaint(self, what: str) -> RequestError:
        """An error that begins with the setting and the file."""
        return RequestError(f"{self.setting}: {self.path} {what}")

    def _check_columns(
        self, values: Mapping[str, Any], columns: Sequence[str], number: int
    ) -> None:
        for column in columns:
            if column not in values:
                raise self.complaint(
                    f"has no column {column!r} in row {number}, only {', '.join(values)}: "
                    f"name its columns {', '.join(columns)}"
                )

    def _values(self, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        with opened(self.path) as file:
            head = file.peek(16).lstrip(b"\xef\xbb\xbf \t\r\n")
            if head.startswith(b"PAR1"):
                yield from parquet_rows(file if file.seekable() else io.BytesIO(file.read()))
            elif head.startswith(b"{"):
                yield from _json_rows(io.TextIOWrapper(file, "utf-8-sig"))
            else:
                yield from _csv_rows(io.TextIOWrapper(file, "utf-8-sig", newline=""), columns)


@dataclass(frozen=True)
class JudgedRow:
    """One row, whose values are checked when they are asked for.

    Raises:
        RequestError: from any member, where a value is not what it should be.
    """

    file: JudgedFile
    number: int
    values: Mapping[str, Any]

    def text(self, column: str) -> str:
        """A text that is not blank."""
        value = self.values[column]
        if not isinstance(value, str) or not value.strip():
            raise self._complaint(column, "is no text")
        if _HALF_CHARACTERS.search(value):
            raise self._complaint(column, "has half of a character")
        return value

    def name(self, column: str) -> str:
        """A name: a text that is not blank, or a whole number as one."""
        value = self.values[column]
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if is_number else self.text(column)

    def number_in(self, column: str) -> float:
        """A finite number, or a text that spells one."""
        value = self.values[column]
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self._complaint(column, "is no finite number")
        return number

    def _complaint(self, column: str, what: str) -> RequestError:
        shown = repr(self.values[column])[:60]
        return self.file.complaint(f"row {self.number}: {column} {what} ({shown}): mend the row")


def _json_rows(lines: io.TextIOBase) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines_of(lines, _MAX_CHARACTERS), start=1):
        if line.strip():
            values = parse_json(line)
            if not isinstance(values, dict):
                raise ValueError(f"line {number} is no JSON object")
            yield values


def _csv_rows(lines: io.TextIOBase, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    found = lines_of(lines, _MAX_CHARACTERS)
    header_line = next(found, "")
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CHARACTERS))
    rows = csv.reader(
        chain([header_line], found), delimiter=_delimiter(header_line, columns), strict=True
    )
    header = next(rows, [])
    for row in filter(None, rows):
        if len(row) != len(header):
            raise ValueError(f"line {rows.line_num} has {len(row)} fields, not {len(header)}")
        yield dict(zip(header, row, strict=True))


def _delimiter(header: str, columns: Sequence[str]) -> str:
    """The mark that makes most of the columns fields of the header."""

    def num_fields_known(mark: str) -> int:
        names = next(csv.reader([header.rstrip("\r\n")], delimiter=mark), [])
        return len({*columns}.intersection(names))

    return max(_DELIMITERS, key=num_fields_known)
