"""Looks for words in every byte below a folder, through the formats that compress them."""

import gzip
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq


def traces_of(words: str, folder: Path) -> list[str]:
    """The files that hold the words, in whatever case."""
    wanted = words.lower()
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return [str(path) for path in files if any(wanted in text for text in _texts(path))]


def _texts(path: Path) -> Iterator[str]:
    raw = path.read_bytes()
    yield raw.decode("utf-8", "replace").lower()
    if path.suffix == ".parquet":
        yield from _values(pq.read_table(path))
    elif path.suffix in (".arrow", ".feather"):
        yield from _values(pa.ipc.open_file(path).read_all())
    elif path.suffix == ".gz":
        yield gzip.decompress(raw).decode("utf-8", "replace").lower()
    elif raw.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            yield "\n".join(database.iterdump()).lower()


def _values(table: pa.Table) -> Iterator[str]:
    for column in table.columns:
        yield "\n".join(_flat(column.to_pylist())).lower()


def _flat(values: Any) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, bytes):
            yield value.decode("utf-8", "replace")
        elif isinstance(value, dict):
            yield from _flat(value.values())
        elif isinstance(value, list):
            yield from _flat(value)
