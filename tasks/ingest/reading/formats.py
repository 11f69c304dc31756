"""Tells what a file is: by its content first, then by its name."""

import csv
import json
import re
from collections.abc import Sequence
from enum import Enum, auto
from pathlib import PurePosixPath

from tasks.ingest.reading.gunzip import GZIP_MAGIC
from tasks.ingest.reading.streams import UTF8_BOM

PARQUET_MAGIC = b"PAR1"
DELIMITERS = ",\t;|"
_BINARY_MAGICS = (
    GZIP_MAGIC,  # seen after decompression: an archive in an archive
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"%PDF-",
    b"PK\x03\x04",
    b"\x7fELF",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
    b"7z\xbc\xaf\x27\x1c",
    b"ARROW1",
    b"SQLite format 3\x00",
)
_TAR_MAGIC, _TAR_MAGIC_OFFSET = b"ustar", 257
_MAX_LINES = 16


class Format(Enum):
    """How a file is read."""

    TEXT = auto()
    JSONL = auto()
    CSV = auto()
    PARQUET = auto()
    UNSUPPORTED = auto()


_BY_ENDING = {
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".md": Format.TEXT,
    ".markdown": Format.TEXT,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".parquet": Format.PARQUET,
    ".json": Format.UNSUPPORTED,  # JSON that is not one object a line
    ".png": Format.UNSUPPORTED,
    ".jpg": Format.UNSUPPORTED,
    ".jpeg": Format.UNSUPPORTED,
    ".gif": Format.UNSUPPORTED,
    ".webp": Format.UNSUPPORTED,
    ".pdf": Format.UNSUPPORTED,
    ".zip": Format.UNSUPPORTED,
    ".zst": Format.UNSUPPORTED,
}


def detect_format(head: bytes, is_all: bool, name: str, text_column: str) -> Format:
    """The format of a file.

    Args:
        head: the beginning of its (decompressed) content.
        is_all: whether `head` is the whole content.
        name: its name; a final .gz does not count.
        text_column: a first line of several fields, one of them named so, is a CSV header.
    """
    if head.startswith(PARQUET_MAGIC):
        return Format.PARQUET
    if head.startswith(_BINARY_MAGICS) or head[_TAR_MAGIC_OFFSET:].startswith(_TAR_MAGIC):
        return Format.UNSUPPORTED
    lines = _text_lines(head, is_all)
    if _looks_like_json_lines(lines, head):
        return Format.JSONL
    ending = PurePosixPath(name.lower().removesuffix(".gz")).suffix
    if ending not in (".md", ".markdown") and _looks_like_csv(head, is_all, text_column):
        return Format.CSV
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    return Format.UNSUPPORTED if b"\0" in head else Format.TEXT


def pick_delimiter(header: str, text_column: str) -> str:
    """The delimiter that makes `text_column` a field of the header, else the most frequent one."""
    return max(
        DELIMITERS,
        key=lambda mark: (text_column in split_fields(header, mark), header.count(mark)),
    )


def split_fields(line: str, delimiter: str) -> list[str]:
    """The fields of a line of CSV; none where it is not CSV."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return []


def _text_lines(head: bytes, is_all: bool) -> list[bytes]:
    """The first complete lines that are not blank."""
    lines = head.removeprefix(UTF8_BOM).split(b"\n")
    complete = lines if is_all else lines[:-1]
    return [line for line in complete if line.strip()][:_MAX_LINES]


def _looks_like_json_lines(lines: Sequence[bytes], head: bytes) -> bool:
    """Whether most lines are JSON objects; of one endless line, the beginning must do."""
    if not lines:
        return re.match(rb'(\xef\xbb\xbf)?\s*\{\s*"', head) is not None
    num_objects = sum(_is_object(line) for line in lines)
    return 2 * num_objects > len(lines)


def _is_object(line: bytes) -> bool:
    if not line.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _looks_like_csv(head: bytes, is_all: bool, text_column: str) -> bool:
    """Whether a header of several fields, `text_column` among them, has a fitting row below."""
    lines = head.decode("utf-8-sig", "replace").split("\n")
    header = lines[0].rstrip("\r")
    delimiter = pick_delimiter(header, text_column)
    fields = split_fields(header, delimiter)
    if len(fields) < 2 or text_column not in fields or len(lines) < 2:
        return False
    below = iter([line + "\n" for line in lines[1:]])
    row = next(csv.reader(below, delimiter=delimiter), [])
    is_cut_off = not is_all and next(below, None) is None
    return is_cut_off or len(row) == len(fields)
