"""Hostile input stays within its bounds: 256 MiB above idle, 30 s, and every good document kept."""

import gzip
import io
import json
import lzma
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from backports import zstd

from tasks.corpus import Corpus
from tests.contracts.code import ROOT
from tests.folders import shared_data

MIB_ABOVE_IDLE, SECONDS = 256, 30


def good(number: int) -> bytes:
    draw = random.Random(number)
    words = " ".join(f"word{draw.randrange(10**6)}" for _ in range(20))
    return json.dumps({"text": f"good {number} {words}"}).encode() + b"\n"


GOOD = b"".join(map(good, range(60)))


def line_of_a_gigabyte(folder: Path) -> dict[str, int]:
    with (folder / "a.jsonl").open("wb") as file:
        file.write(good(1000) + b'{"text": "')
        file.seek(2**30, os.SEEK_CUR)
        file.write(b'"}\n' + good(1001))
    return {"too_long": 1, "kept": 2}


def text_of_a_gigabyte(folder: Path) -> dict[str, int]:
    (folder / "a.txt").write_bytes(b"a word " * 2**27)
    return {"too_long": 1}


def spaces_of_a_document(folder: Path) -> dict[str, int]:
    (folder / "a.txt").write_bytes(b"start" + b" " * 10_000_000 + b"end")
    (folder / "b.txt").write_bytes(b"x" * 10_000_000)
    return {"kept": 2}


def csv_quote_left_open(folder: Path) -> dict[str, int]:
    rows = (
        b'text,n\nfirst row of the table,1\n"left open,2\n' + b"more and more words\n" * 1_200_000
    )
    (folder / "a.csv").write_bytes(rows)
    return {"kept": 1, "too_long": 1}


def gzip_bomb(folder: Path) -> dict[str, int]:
    (folder / "a.txt.gz").write_bytes(gzip.compress(b"word " * 80_000_000, 9))
    return {"compression_bomb": 1}


def xz_bomb(folder: Path) -> dict[str, int]:
    (folder / "a.jsonl.xz").write_bytes(lzma.compress(good(1) + b"word " * 40_000_000))
    return {"compression_bomb": 1, "duplicate": 1}


def zip_bomb(folder: Path) -> dict[str, int]:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.jsonl", good(1002))
        archive.writestr("bomb.txt", b"word " * 80_000_000)
    return {"compression_bomb": 1, "kept": 1}


def archives_in_archives(folder: Path) -> dict[str, int]:
    data = good(1003)
    for depth in range(6):
        data = tar_of({f"level{depth}.tar" if depth else "good.jsonl": data})
    (folder / "a.tar.gz").write_bytes(gzip.compress(data))
    return {"nested_too_deep": 1}


def pages_at_the_limit(folder: Path) -> dict[str, int]:
    many = "".join(f"<p>word{n} of <b>page</b> one</p>" for n in range(19_000))
    long = "<p>" + "another word and more " * 350_000 + "</p>"
    deep = "<div>" * 70_000 + "text"
    for name, body in {
        "many": many,
        "long": long,
        "deep": deep,
        "tags": "<p>x</p>" * 100_000,
    }.items():
        page = f"<!DOCTYPE html><html><body><article>{body}</article></body></html>"
        (folder / f"{name}.html").write_text(page, "utf-8")
    return {"kept": 2, "too_long": 1, "too_deep": 1}


def cut_short(folder: Path) -> dict[str, int]:
    """Compressed files that end too early; a record that is whole by then is good."""
    noise = random.Random(5).randbytes(300_000).hex().encode()
    data = good(1004) + json.dumps({"text": noise.decode()}).encode() + b"\n" + good(1005)
    for name, compress in {"gz": gzip.compress, "zst": zstd.compress, "xz": lzma.compress}.items():
        (folder / f"{name}.jsonl.{name}").write_bytes(compress(data)[:-10])
    (folder / "junk.jsonl.gz").write_bytes(gzip.compress(good(1006)) + b"no gzip")
    tar = gzip.compress(tar_of({"a.jsonl": good(1007), "b.jsonl": data}))
    (folder / "c.tar.gz").write_bytes(tar[:-1000])
    return {"truncated_compression": 5, "data_after_compression": 1}


def hostile_names(folder: Path) -> dict[str, int]:
    names = ["../up.txt", "/abs.txt", "a/../../b.txt", "c:\\x.txt", "ok/fine.jsonl"]
    data = tar_of({name: good(1008) for name in names})
    with tarfile.open(folder / "a.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        device = tarfile.TarInfo("device")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    (folder / "b.tar").write_bytes(data)
    return {"unsafe_path": 4, "archive_link": 2, "kept": 1}


def links_in_folders(folder: Path) -> dict[str, int]:
    (folder / "loop").symlink_to(folder)
    (folder / "outside").symlink_to("/etc")
    (folder / "file").symlink_to("/etc/passwd")
    (folder / "nowhere").symlink_to(folder / "no such file")
    os.mkfifo(folder / "fifo")
    return {"kept": 0, "unreadable": 0}


def broken_json(folder: Path) -> dict[str, int]:
    lines = {
        "bad_json": b'{"text": "open',
        "duplicate_key": b'{"text": "a", "text": "b"}',
        "not_finite_number": b'{"text": "a", "x": NaN}',
        "huge_integer": b'{"text": "a", "x": ' + b"7" * 5000 + b"}",
        "too_deep": b'{"text": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "lone_surrogate": b'{"text": "\\ud800"}',
        "invalid_utf8": b'{"text": "caf\xff"}',
    }
    (folder / "a.jsonl").write_bytes(good(1009) + b"\n".join(lines.values()) + b"\n" + good(1010))
    return dict.fromkeys(lines, 1) | {"kept": 2}


def wild_ids(folder: Path) -> dict[str, int]:
    """10,000 ids that would do harm as paths; none is one."""
    draw = random.Random(0)
    parts = [
        "..",
        "/",
        "\\",
        "a",
        "\0",
        "CON",
        "caf\u00e9",
        "cafe\u0301",
        " ",
        ".",
        "%2e",
        "\n",
        "~",
    ]
    ids = {"".join(draw.choice(parts) for _ in range(draw.randrange(1, 9))) for _ in range(40_000)}
    ids |= {"x" * 5000, "../../../../tmp/escaped", "/etc/passwd"}
    with (folder / "a.jsonl").open("w", encoding="utf-8") as file:
        for number, doc_id in enumerate(sorted(ids)[:10_000]):
            text = json.loads(good(5000 + number))["text"]
            file.write(json.dumps({"id": doc_id, "text": text}) + "\n")
    return {"kept": 10_000}


def empty_things(folder: Path) -> dict[str, int]:
    (folder / "empty.txt").write_bytes(b"")
    (folder / "empty.jsonl").write_bytes(b"\n\n")
    (folder / "empty.csv").write_bytes(b"text,n\n")
    (folder / "empty.json").write_bytes(b"[]")
    (folder / "empty.gz").write_bytes(gzip.compress(b""))
    (folder / "empty.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    (folder / "empty.tar").write_bytes(bytes(10240))
    (folder / "nothing").mkdir()
    return {"empty": 6, "unsupported": 1, "kept": 0}  # zeros may be anything, also a tar


def binary_things(folder: Path) -> dict[str, int]:
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    (folder / "b").write_bytes(random.Random(0).randbytes(100_000))
    (folder / "c.json").write_bytes(b'{"settings": {"colour": "red"}}')
    return {"unsupported": 3}


def naughty_strings(folder: Path) -> dict[str, int]:
    strings = [
        f"{n} {chr(n)} \u202eabc\u2066 \ufeff\ufffe {chr(0x1F600 + n)}" for n in range(1, 90)
    ]
    table = "".join(
        json.dumps({"text": text}, ensure_ascii=n % 2 == 0) + "\n" for n, text in enumerate(strings)
    )
    (folder / "a.jsonl").write_text(table, "utf-8")
    return {"kept": 89}


CASES: list[Callable[[Path], dict[str, int]]] = [
    line_of_a_gigabyte,
    text_of_a_gigabyte,
    spaces_of_a_document,
    csv_quote_left_open,
    gzip_bomb,
    xz_bomb,
    zip_bomb,
    archives_in_archives,
    pages_at_the_limit,
    cut_short,
    hostile_names,
    links_in_folders,
    broken_json,
    wild_ids,
    empty_things,
    binary_things,
    naughty_strings,
]


def tar_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def run_apart(folder: Path, output: Path, *settings: str) -> dict[str, Any]:
    output.mkdir()
    command = [sys.executable, "-m", "tests.tasks.ingest.one_ingest", str(folder), str(output)]
    done = subprocess.run(
        [*command, *settings], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_hostile_input(tmp_path: Path, case: Callable[[Path], dict[str, int]]) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    (folder / "case").mkdir(parents=True)
    (folder / "good.jsonl").write_bytes(GOOD)
    expected = case(folder / "case")
    before = outside(tmp_path)
    said = run_apart(folder, output, "max_quarantined_frac=1", "validation_frac=0.2")
    assert "error" not in said
    assert said["seconds"] < SECONDS
    assert said["peak_mib"] - said["idle_mib"] < MIB_ABOVE_IDLE
    assert outside(tmp_path) == before
    check_accounts(output, expected)


def outside(folder: Path) -> set[str]:
    """All files but those of the artifact."""
    return {
        str(path) for path in folder.rglob("*") if "out" not in path.relative_to(folder).parts[:1]
    }


def check_accounts(output: Path, expected: dict[str, int]) -> None:
    ledger = pq.read_table(output / "ledger.parquet").to_pylist()
    statuses = Counter(row["status"] for row in ledger)
    texts = set(Corpus(output).texts())
    assert {json.loads(good(number))["text"] for number in range(60)} <= texts
    assert len(ledger) == Corpus(output).about.num_read == statuses.total()
    reasons = Counter(
        row["reason"] for row in ledger if row["status"] in ("dropped", "quarantined")
    )
    kept = {"kept": statuses["kept"] - 60, "duplicate": statuses["duplicate_of"]}
    assert {name: (reasons | Counter(kept))[name] for name in expected} == expected


def test_nothing_half_is_counted_of_what_was_cut(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.jsonl").write_bytes(GOOD)
    cut_short(tmp_path / "in")
    run_apart(tmp_path / "in", tmp_path / "out", "max_quarantined_frac=1")
    rows = pq.read_table(tmp_path / "out" / "ledger.parquet").to_pylist()
    refused = {row["doc_id"]: row["reason"] for row in rows if row["status"] == "quarantined"}
    assert refused["junk.jsonl.gz"] == "data_after_compression"
    for name in ("gz", "zst", "xz"):
        assert refused[f"{name}.jsonl.{name}"] == "truncated_compression"
    by_file = Counter(row["doc_id"].split("#")[0] for row in rows if row["status"] != "quarantined")
    assert by_file["gz.jsonl.gz"] in (1, 2)  # the last record may have come whole
    assert by_file["junk.jsonl.gz"] == 1
    assert any(name.startswith("c.tar.gz") for name in refused)
    assert sum(row["doc_id"].startswith("c.tar.gz/a.jsonl") for row in rows) == 1


def test_the_big_list_of_naughty_strings(tmp_path: Path, ingest: Any) -> None:
    source = shared_data("blns/blns.json")
    strings = json.loads(source.read_text("utf-8"))
    table = "".join(json.dumps({"text": text}) + "\n" for text in strings)
    (tmp_path / "a.jsonl").write_text(table, "utf-8")
    found = ingest(tmp_path, source, near_duplicate_threshold=None)
    assert found.metrics["num_quarantined"] == 0
    assert len(found.texts) > 400
    array = [doc_id for doc_id in found.ledger if doc_id.startswith("blns.json")]
    assert len(array) == len(strings)  # the same strings again, as an array
