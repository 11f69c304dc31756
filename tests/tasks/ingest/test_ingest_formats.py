"""Every format, plain and gzipped, named or not, gives the same documents."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = [
    {"text": "One, two\nand three", "year": 1999},
    {"text": 'Vier "fünf" sechs', "year": 2004},
    {"text": "七八九", "year": 2010},
]


def as_jsonl() -> bytes:
    return "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def as_csv(delimiter: str = ",") -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["text", "year"], delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(ROWS)
    return out.getvalue().encode()


def as_parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


def as_arrow(new_writer: Callable[..., Any]) -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pylist(ROWS)
    with new_writer(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def plain(data: bytes) -> bytes:
    return data


TABLES = {
    "jsonl": as_jsonl,
    "json": lambda: json.dumps(ROWS, indent=2).encode(),
    "csv": as_csv,
    "tsv": lambda: as_csv("\t"),
    "parquet": as_parquet,
    "feather": lambda: as_arrow(pa.ipc.new_file),
    "arrow": lambda: as_arrow(pa.ipc.new_stream),
}


@pytest.mark.parametrize("pack", [plain, gzip.compress])
@pytest.mark.parametrize("ending", TABLES)
def test_tables(tmp_path: Path, ingest: Any, ending: str, pack: Callable[[bytes], bytes]) -> None:
    name = f"rows.{ending}" + (".gz" if pack is gzip.compress else "")
    (tmp_path / name).write_bytes(pack(TABLES[ending]()))
    found = ingest(tmp_path / name)
    assert found.texts == {f"{name}#{n}": row["text"] for n, row in enumerate(ROWS)}
    assert [values["year"] for values in found.metadata.values()] == [1999, 2004, 2010]
    assert found.metrics["num_read"] == found.metrics["num_kept"] == 3 + 40


@pytest.mark.parametrize("pack", [plain, gzip.compress])
@pytest.mark.parametrize("ending", TABLES)
def test_tables_are_known_by_content(
    tmp_path: Path, ingest: Any, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "nameless").write_bytes(pack(TABLES[ending]()))
    assert list(ingest(tmp_path).texts.values()) == [row["text"] for row in ROWS]


def test_content_goes_before_name(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "rows.csv").write_bytes(as_jsonl())
    (tmp_path / "table.txt").write_bytes(as_parquet())
    found = ingest(tmp_path)
    assert found.texts.keys() == {f"rows.csv#{n}" for n in range(3)}
    assert set(found.ledger.values()) == {f"duplicate_of rows.csv#{n}" for n in range(3)}


@pytest.mark.parametrize("pack", [plain, gzip.compress])
@pytest.mark.parametrize("name", ["a.txt", "b.md", "noending", "c.log", "d.txt.gz"])
def test_a_text_file_is_one_document(
    tmp_path: Path, ingest: Any, name: str, pack: Callable[[bytes], bytes]
) -> None:
    text = "# Title\r\n\r\nA line, with text\n\n{not json}\n"
    (tmp_path / name).write_bytes(pack(b"\xef\xbb\xbf" + text.encode()))
    clean = "# Title\n\nA line, with text\n\n{not json}"
    assert ingest(tmp_path / name).texts == {f"{name}#0": clean}


def test_a_single_json_line_without_newline(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "one").write_bytes(b'\xef\xbb\xbf{"text": "alone"}')
    assert ingest(tmp_path).texts == {"one#0": "alone"}


def test_an_array_of_strings_holds_documents(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.json").write_text('["one text",\n "another"]')
    found = ingest(tmp_path)
    assert found.texts == {"a.json#0": "one text", "a.json#1": "another"}


def test_a_long_first_line_is_still_json(tmp_path: Path, ingest: Any) -> None:
    text = "long " * 40_000 + "end"
    (tmp_path / "long").write_text(json.dumps({"text": text}) + "\n" + json.dumps({"text": "b"}))
    assert ingest(tmp_path).texts == {"long#0": text, "long#1": "b"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("picture.png", b"\x89PNG\r\n\x1a\n..."),
        ("picture.txt", b"\xff\xd8\xff\xe0JFIF"),
        ("noending", bytes(range(256))),
        ("settings.json", b'{"name": "a",\n "version": 1}'),
        ("list.json", b"[1, 2, 3]"),
        ("archive.tar.gz", gzip.compress(b"x" * 257 + b"ustar" + b"\0" * 250, mtime=0)),
    ],
)
def test_what_is_no_text_is_dropped(tmp_path: Path, ingest: Any, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    found = ingest(tmp_path)
    assert found.ledger == {name: "dropped unsupported"}
    assert (found.metrics["num_dropped"], found.metrics["num_quarantined"]) == (1, 0)


def test_naughty_strings_come_back(tmp_path: Path, ingest: Any) -> None:
    """As they are in ids and metadata; in texts less what nobody sees."""
    naughty = {
        "nul \0 bell \a escape \x1b delete \x7f next \x85 x": "nul  bell  escape  delete  next\n x",
        "bidi \u202e abc \u2066 x \u2069 mark \u200f": None,
        "joined 👩‍👩‍👧‍👦 flag 🏴󠁧󠁢󠁥󠁮󠁧󠁿 modifier 👍🏿": None,
        "bom inside \ufeff here, nonchar \uffff \U0010ffff": "bom inside  here, nonchar",
        "separators \u2028 \u2029 \x1c \x1d \x1e and \v \f x": "separators\n\n    and\n\n x",
        "[CLS] [MASK] <|endoftext|> </s> NULL undefined": None,
        "=HYPERLINK('x') '; DROP TABLE documents;-- ../../etc/passwd %s ${HOME}": None,
        "Ω≈ç√∫˜µ≤≥÷ 田中さん ﷽ ｆｕｌｌ": None,
        " leading and trailing \t\r\n ": " leading and trailing",
    }
    lines = "".join(
        json.dumps({"text": text, "id": text, "note": text}, ensure_ascii=odd) + "\n"
        for odd, text in enumerate(naughty)
    )
    (tmp_path / "naughty.jsonl").write_bytes(lines.encode())
    found = ingest(tmp_path)
    assert found.texts == {text: clean or text for text, clean in naughty.items()}
    assert [values["note"] for values in found.metadata.values()] == list(naughty)


def test_text_is_in_normal_form_c_and_ids_are_not_touched(tmp_path: Path, ingest: Any) -> None:
    lines = [
        {"id": "e\u0301", "text": "cafe\u0301 one"},
        {"id": "\u00e9", "text": "cafe\u0301 two"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert ingest(tmp_path).texts == {"e\u0301": "caf\u00e9 one", "\u00e9": "caf\u00e9 two"}
