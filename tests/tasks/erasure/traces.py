"""Looks for traces of a document in every byte of a folder, whatever the files are packed in."""

import gzip
import html
import json
import re
import sqlite3
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Vector = NDArray[np.float32]


def traces(
    root: Path,
    *,
    phrases: Sequence[str],
    token_ids: Sequence[int] = (),
    vectors: Sequence[Vector] = (),
) -> list[str]:
    """Which file has what of the document; empty where nothing is left."""
    wanted = _spellings(phrases) + _forms(token_ids, vectors)
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        for part in _contents(path):
            found += [f"{path.relative_to(root)} has {n}" for n, needle in wanted if needle in part]
        found += [
            f"{path.relative_to(root)} has the vector as a row"
            for vector in vectors
            if _has_row(path, vector)
        ]
    return found


def _spellings(phrases: Sequence[str]) -> list[tuple[str, bytes]]:
    spelled = {s for text in phrases for s in (text, json.dumps(text)[1:-1], html.escape(text))}
    return [(text, form) for text in spelled for form in (text.encode(), text.encode("utf-16-le"))]


def _forms(token_ids: Sequence[int], vectors: Sequence[Vector]) -> list[tuple[str, bytes]]:
    """How arrays spell the tokens and the vectors, in parts that no page boundary cuts."""
    forms = []
    if token_ids:
        kinds = (np.uint16, np.int32, np.int64)
        forms += [("token ids", np.array(token_ids, kind).tobytes()) for kind in kinds]
        forms.append(("token ids", json.dumps(list(token_ids)).encode()))
    for vector in vectors:
        numbers = (vector[:16].astype(kind) for kind in (np.float16, np.float32, np.float64))
        forms += [("the vector", each.tobytes()) for each in numbers]
        scale = np.abs(vector).max() / 127
        forms.append(("the vector", np.round(vector / scale).astype(np.int8).tobytes()))
        forms.append(("the vector", np.packbits(vector > 0).tobytes() if len(vector) > 63 else b""))
    return [(name, form) for name, form in forms if form]


def _contents(path: Path) -> Iterator[bytes]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:  # of a database whose server has just ended
        return
    yield raw
    if path.suffix == ".html":
        yield re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", raw.decode()))).encode()
    elif raw[:4] == b"PAR1":
        for column in pq.read_table(path).columns:
            yield from _column(column)
    elif raw[:6] == b"ARROW1":
        for column in pa.ipc.open_file(path).read_all().columns:
            yield from _column(column)
    elif raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif raw[:15] == b"SQLite format 3":
        yield from _values(path)


def _column(column: pa.ChunkedArray) -> Iterator[bytes]:
    """Values as text, and the numbers in lists as the bytes they are."""
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if (is_list or pa.types.is_fixed_size_list(kind)) and _are_numbers(kind.value_type):
        for chunk in column.chunks:
            yield chunk.flatten().to_numpy(zero_copy_only=False).tobytes()
        return
    for value in column.to_pylist():
        yield value if isinstance(value, bytes) else str(value).encode()


def _are_numbers(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _values(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            for row in database.execute(f'SELECT * FROM "{table}"'):
                yield " ".join(map(str, row)).encode()


def _has_row(path: Path, vector: Vector) -> bool:
    """Whether a table has the vector, or its int8 form, as a row, to within its precision."""
    if path.suffix != ".parquet":
        return False
    table: Any = pq.read_table(path)
    for column in table.columns:
        if pa.types.is_fixed_size_list(column.type) and column.type.list_size == len(vector):
            flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
            rows = flat.astype(np.float32).reshape(-1, len(vector))
            norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
            if (rows @ vector > 0.9999 * norms).any():
                return True
    return False
