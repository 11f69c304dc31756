"""Reads files of people's judgements: JSON lines, CSV, TSV or Parquet, compressed or not."""

import bz2
import csv
import gzip
import io
import json
import lzma
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
from backports import zstd

from model.errors import RequestError

_DELIMITERS = ",\t;|"
_MAX_FIELD_BYTES = 2**30
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"\x28\xb5\x2f\xfd": zstd.open,
}
_DAMAGE = (
    *(OSError, EOFError, ValueError, csv.Error, pa.ArrowException),
    *(zlib.error, lzma.LZMAError, zstd.ZstdError),
)


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
        with _open(self.path) as file:
            head = file.peek(16).lstrip(b"\xef\xbb\xbf \t\r\n")
            if head.startswith(b"PAR1"):
                yield from _parquet_rows(file)
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
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise self._complaint(column, "is no finite number")
        return number

    def _complaint(self, column: str, what: str) -> RequestError:
        shown = repr(self.values[column])[:60]
        return self.file.complaint(f"row {self.number}: {column} {what} ({shown}): mend the row")


def _open(path: Path) -> io.BufferedReader:
    with path.open("rb") as file:
        head = file.read(8)
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return io.BufferedReader(cast(io.RawIOBase, opener(path, "rb")))
    return path.open("rb")


def _parquet_rows(file: BinaryIO) -> Iterator[Mapping[str, Any]]:
    content = io.BytesIO(file.read())
    for batch in pq.ParquetFile(content, page_checksum_verification=True).iter_batches():
        yield from batch.to_pylist()


def _json_rows(lines: io.TextIOBase) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            values = json.loads(line)
            if not isinstance(values, dict):
                raise ValueError(f"line {number} is no JSON object")
            yield values


def _csv_rows(lines: io.TextIOBase, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    header_line = lines.readline()
    lines.seek(0)
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD_BYTES))
    rows = csv.reader(lines, delimiter=_delimiter(header_line, columns), strict=True)
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
