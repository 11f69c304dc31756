"""Files of judgements: the same rows from every format, and what is wrong is named."""

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd

from model.errors import RequestError
from tasks.evaluate.judged_files import JudgedFile

ROWS = [
    {"query": 'who, "he" said', "doc_id": "7", "relevance": 2},
    {"query": "two\nlines é漢", "doc_id": "a/b#3", "relevance": 0.5},
]
COLUMNS = ("query", "doc_id")


def as_jsonl() -> bytes:
    return "\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()


def as_csv(delimiter: str) -> bytes:
    def cell(value: Any) -> str:
        return '"' + str(value).replace('"', '""') + '"'

    lines = [delimiter.join(ROWS[0]), *(delimiter.join(map(cell, r.values())) for r in ROWS)]
    return "\r\n".join([*lines, ""]).encode("utf-8-sig")


def as_parquet() -> bytes:
    buffer = io.BytesIO()
    columns = {name: [row[name] for row in ROWS] for name in COLUMNS}
    grades = pa.array([2, 0.5], pa.float32())
    pq.write_table(pa.table(columns | {"relevance": grades}), buffer)
    return buffer.getvalue()


FORMS = {
    "jsonl": as_jsonl(),
    "csv": as_csv(","),
    "tsv": as_csv("\t"),
    "semicolons": as_csv(";"),
    "parquet": as_parquet(),
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": partial(gzip.compress, mtime=0),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}


def judged(tmp_path: Path, data: bytes | str) -> JudgedFile:
    path = tmp_path / "judged"  # without an ending: what it is stands in it
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return JudgedFile(path, "evaluate.relevance")


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_format_gives_the_same_rows(tmp_path: Path, form: str, packer: str) -> None:
    file = judged(tmp_path, PACKERS[packer](FORMS[form]))
    rows = list(file.rows(COLUMNS))
    assert [row.number for row in rows] == [1, 2]
    assert [row.text("query").replace("\r\n", "\n") for row in rows] == [r["query"] for r in ROWS]
    assert [row.name("doc_id") for row in rows] == ["7", "a/b#3"]
    assert [row.number_in("relevance") for row in rows] == [2, 0.5]


def test_a_whole_number_can_be_a_name(tmp_path: Path) -> None:
    [row] = judged(tmp_path, '{"query": "q", "doc_id": 7}').rows(COLUMNS)
    assert row.name("doc_id") == "7"


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("", "has no rows"),
        ("query,doc_id\n", "has no rows"),
        ("query,id\na,b\n", r"no column 'doc_id' in row 1, only query, id"),
        ('{"query": "a", "doc_id": "b"}\n{"query": "a"}', "no column 'doc_id' in row 2"),
        ('{"query": "a", "doc_id": "b"}\n[1]', "line 2 is no JSON object"),
        ('{"query": "a", ', "cannot be read"),
        ("query,doc_id\na,b,c\n", "line 2 has 3 fields, not 2"),
        (b"query,doc_id\n\xff\xfe,b\n", "cannot be read"),
        (b"PAR1 is not all that a Parquet file needs", "cannot be read"),
        *(
            pytest.param(PACKERS[name](as_jsonl())[:-9], "cannot be read", id=f"half of a {name}")
            for name in ("gz", "bz2", "zst")
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    tmp_path: Path, data: bytes | str, complaint: str
) -> None:
    with pytest.raises(RequestError, match=f"^evaluate.relevance: .*judged.*{complaint}") as caught:
        list(judged(tmp_path, data).rows(COLUMNS))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(RequestError, match=f"{path} cannot be read"):
            list(JudgedFile(path, "evaluate.relevance").rows(COLUMNS))


@pytest.mark.parametrize("value", ['"x"', "null", "true", "NaN", "Infinity", '"nan"', "[1]"])
def test_what_is_no_finite_number_is_named(tmp_path: Path, value: str) -> None:
    [row] = judged(tmp_path, f'{{"query": "q", "doc_id": "d", "grade": {value}}}').rows(COLUMNS)
    with pytest.raises(RequestError, match="row 1: grade is no finite number"):
        row.number_in("grade")


@pytest.mark.parametrize("value", ['" "', "null", "1.5", '["a"]', "true"])
def test_what_is_no_text_is_no_name_either(tmp_path: Path, value: str) -> None:
    [row] = judged(tmp_path, f'{{"query": {value}, "doc_id": {value}}}').rows(COLUMNS)
    with pytest.raises(RequestError, match="row 1: query is no text"):
        row.text("query")
    with pytest.raises(RequestError, match="row 1: doc_id is no text"):
        row.name("doc_id")
