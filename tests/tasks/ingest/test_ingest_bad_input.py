"""What cannot be read is quarantined with its reason, by itself, and the rest is kept."""

import gzip
import io
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.errors import CorpusError
from tasks.ingest.row_builder import escape

BAD_LINES = {
    "invalid_utf8": b'{"text": "caf\xff"}',
    "bad_json": b'{"text": "open',
    "not_an_object": b'["text"]',
    "lone_surrogate": b'{"text": "\\ud800 alone"}',
    "not_finite_number": b'{"text": "a", "x": NaN}',
    "huge_integer": b'{"text": "a", "x": ' + b"7" * 5000 + b"}",
    "too_deep": b'{"text": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no_text": b'{"note": "a"}',
    "text_not_string": b'{"text": 7}',
    "duplicate_key": b'{"text": "a", "text": "b"}',
    "bad_id": b'{"id": [1], "text": "a"}',
    "too_long": b'{"text": "' + b"a" * 300_000 + b'"}',
}
MORE_BAD_LINES = [
    ("lone_surrogate", b'{"text": "fine", "\\uDFFF": 1}'),
    ("not_finite_number", b'{"text": "a", "x": [1, {"y": -1e999}]}'),
    ("too_deep", b'{"text": "a", "x": ' + b"[" * 80 + b"]" * 80 + b"}"),
    ("bad_json", b'{"text": "a"} {"text": "b"}'),
]


@pytest.mark.parametrize(("reason", "line"), [*BAD_LINES.items(), *MORE_BAD_LINES])
def test_a_bad_line_costs_one_document(
    tmp_path: Path, ingest: Any, reason: str, line: bytes
) -> None:
    first, last = b'{"text": "before"}\n', b'\n\n{"text": "after"}\n'
    (tmp_path / "a.jsonl").write_bytes(first + line + last)
    found = ingest(tmp_path, max_document_bytes=250_000)
    assert found.texts == {"a.jsonl#0": "before", "a.jsonl#2": "after"}
    assert found.ledger == {"a.jsonl#1": f"quarantined {reason}"}
    (row,) = found.quarantine
    assert (row["doc_id"], row["source"], row["reason"]) == ("a.jsonl#1", "a.jsonl", reason)
    assert row["byte_offset"] == len(first)
    assert row["preview"].isascii()
    assert row["preview"] == escape(line[:200])


def test_one_bad_byte_costs_one_csv_row(tmp_path: Path, ingest: Any) -> None:
    rows = b"text,n\ngood,1\nb\xffd,2\n" + 'fünf "x",3\n"two\nlines",4\nshort\n'.encode()
    (tmp_path / "a.csv").write_bytes(rows + b'"unquoted"x,5\nlast,6\n"open,7\n')
    found = ingest(tmp_path)
    assert list(found.texts.values()) == ["good", 'fünf "x"', "two\nlines", "last"]
    assert found.ledger == {
        "a.csv#1": "quarantined invalid_utf8",
        "a.csv#4": "quarantined wrong_field_count",
        "a.csv#5": "quarantined bad_csv",
        "a.csv#7": "quarantined bad_csv",
    }
    assert found.quarantine[0]["byte_offset"] == len(b"text,n\ngood,1\n")


def test_a_long_csv_row_costs_one_document(tmp_path: Path, ingest: Any) -> None:
    long = "word " * 200_000
    (tmp_path / "a.csv").write_text(f'text,n\n"{long}",1\nfine,2\n"{long[:200_000]}\n",3\n')
    found = ingest(tmp_path, max_document_bytes=300_000)
    assert found.texts == {"a.csv#1": "fine", "a.csv#2": long[:200_000].strip()}
    assert found.ledger == {"a.csv#0": "quarantined too_long"}


@pytest.mark.parametrize("ending", ["", ".txt", ".md"])
def test_a_text_file_that_is_not_utf8(tmp_path: Path, ingest: Any, ending: str) -> None:
    """What it surely is, is read; what is damaged or in doubt, is not guessed at."""
    (tmp_path / f"latin{ending}").write_bytes("Füße und Hände".encode("latin-1"))
    (tmp_path / f"bad{ending}").write_bytes("Füße und Hände".encode() + b"\xff and more words")
    (tmp_path / f"doubt{ending}").write_bytes(b"\xc0\xc8\xcc\xd2\xd9")
    found = ingest(tmp_path)
    assert found.texts == {f"latin{ending}#0": "Füße und Hände"}
    assert found.ledger == {
        f"bad{ending}#0": "quarantined invalid_utf8",
        f"doubt{ending}#0": "quarantined unknown_encoding",
    }
    assert found.quarantine[0]["byte_offset"] == 17


def test_parquet_rows_that_are_not_utf8(tmp_path: Path, ingest: Any) -> None:
    raw = pa.array([b"good", b"b\xffd", None, b"fine"])
    text = pa.StringArray.from_buffers(4, raw.buffers()[1], raw.buffers()[2], raw.buffers()[0])
    pq.write_table(pa.table({"text": text, "n": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    found = ingest(tmp_path)
    assert found.texts == {"a.parquet#0": "good", "a.parquet#3": "fine"}
    assert found.ledger == {
        "a.parquet#1": "quarantined invalid_utf8",
        "a.parquet#2": "dropped empty",
    }


@pytest.mark.parametrize("cut", [5, -10, -1])
def test_a_cut_parquet_file(tmp_path: Path, ingest: Any, cut: int) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b"]}), out)
    (tmp_path / "a.parquet").write_bytes(out.getvalue()[:cut])
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress(out.getvalue()[:cut]))
    reason = "quarantined corrupt_parquet"
    assert ingest(tmp_path).ledger == {"a.parquet": reason, "b.parquet.gz": reason}


def lines_of(number: int) -> bytes:
    return b"".join(b'{"text": "document %d of a file"}\n' % n for n in range(number))


def test_a_truncated_compression_keeps_what_was_whole(tmp_path: Path, ingest: Any) -> None:
    packed = gzip.compress(lines_of(5000))
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    found = ingest(tmp_path)
    assert found.ledger == {"a.jsonl.gz": "quarantined truncated_compression"}
    assert 1000 < len(found.texts) < 4000
    assert list(found.texts.values()) == [
        f"document {n} of a file" for n in range(len(found.texts))
    ]
    assert found.metrics["num_read"] == len(found.texts) + 1 + 40


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda packed: packed + b"junk", "data_after_compression"),
        (lambda packed: packed[:-6] + b"\0\0" + packed[-4:], "corrupt_compression"),
        (lambda packed: packed[:12], "truncated_compression"),
    ],
)
def test_other_damage_to_gzip(tmp_path: Path, ingest: Any, damage: Any, reason: str) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(damage(gzip.compress(lines_of(3))))
    assert ingest(tmp_path).ledger == {"a.jsonl.gz": f"quarantined {reason}"}


def test_members_in_a_row_and_zero_padding_are_gzip(tmp_path: Path, ingest: Any) -> None:
    packed = gzip.compress(b'{"text": "a"}\n') + gzip.compress(b'{"text": "b"}\n') + b"\0" * 512
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    found = ingest(tmp_path)
    assert list(found.texts.values()) == ["a", "b"]
    assert not found.ledger


@pytest.mark.parametrize("start", [b"", b'{"text": "good"}\n'])
def test_a_compression_bomb_is_stopped(tmp_path: Path, ingest: Any, start: bytes) -> None:
    bomb = gzip.compress(start + b"0" * (48 * 2**20), compresslevel=9)
    (tmp_path / "bomb.jsonl.gz").write_bytes(bomb)
    found = ingest(tmp_path)
    assert found.ledger == {"bomb.jsonl.gz": "quarantined compression_bomb"}
    assert list(found.texts.values()) == (["good"] if start else [])


def test_an_endless_line_takes_bounded_memory(tmp_path: Path, ingest: Any) -> None:
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.write(b'{"text": "first"}\n{"text": "')
        file.seek(100 * 2**20)  # sparse: zeros that take no room on the disk
        file.write(b'"}\n{"text": "last"}\n')
    tracemalloc.start()
    try:
        found = ingest(tmp_path, max_document_bytes=2**20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert list(found.texts.values()) == ["first", "last"]
    assert found.ledger == {"a.jsonl#1": "quarantined too_long"}
    assert peak < 24 * 2**20


def test_a_file_that_may_not_be_read_is_quarantined(
    tmp_path: Path, ingest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.txt").write_text("hidden")
    (tmp_path / "open.txt").write_text("seen")
    opened = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path).endswith("secret.txt"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    found = ingest(tmp_path)
    assert found.texts == {"open.txt#0": "seen"}
    assert found.ledger == {"secret.txt": "quarantined unreadable"}


def test_empty_documents_and_files_are_dropped(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n{"text": " \\n\\t"}\n{"text": null}\n')
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "c.csv").write_text("text,n\n")
    (tmp_path / "d.txt").write_text(" \n")
    (tmp_path / "e.txt").write_text("  ab ")
    found = ingest(tmp_path, min_characters=3)
    names = ["a.jsonl#0", "a.jsonl#1", "a.jsonl#2", "b.txt", "c.csv", "d.txt"]
    assert found.ledger == {name: "dropped empty" for name in names} | {
        "e.txt#0": "dropped too_short"
    }


def test_a_second_document_of_the_same_id(tmp_path: Path, ingest: Any) -> None:
    documents = [("a", "one"), ("a", "two"), ("b", "one"), ("b", "three"), ("a", "one")]
    lines = [json.dumps({"id": doc_id, "text": text}) for doc_id, text in documents]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    found = ingest(tmp_path)
    assert found.texts == {"a": "one"}
    statuses = pq.read_table(found.folder / "ledger.parquet").to_pylist()[:5]
    assert [(row["doc_id"], row["status"], row["reason"]) for row in statuses] == [
        ("a", "kept", None),
        ("a", "quarantined", "duplicate_id"),
        ("b", "duplicate_of", "exact_duplicate"),
        ("b", "quarantined", "duplicate_id"),
        ("a", "duplicate_of", "exact_duplicate"),
    ]


def test_too_much_quarantine_fails_and_says_why(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines_of(3) + b"{bad\n[1]\n{worse\n")
    with pytest.raises(CorpusError, match=r"3 of 6 .*\(bad_json 2, not_an_object 1\).*a\.jsonl#3"):
        ingest(tmp_path, fill=False)


def test_a_corpus_without_any_text_fails(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(CorpusError, match=r"corpus is empty: of 1 documents none.*unsupported 1"):
        ingest(tmp_path, fill=False)
    (tmp_path / "b.txt").write_bytes(b"\xff\xff")
    with pytest.raises(CorpusError, match="1 of 2 documents cannot be read"):
        ingest(tmp_path, fill=False)
