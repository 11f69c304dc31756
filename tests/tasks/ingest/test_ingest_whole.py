"""Every setting of the stage, and every kind of place, through the whole stage."""

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from backports import zstd

from model.errors import CorpusError

PAGE = """<!DOCTYPE html><html><head><title>On lighthouses</title></head><body>
<nav><a href="/">Home</a> <a href="/about">About</a></nav>
<article><h1>On lighthouses</h1>
<p>The keeper climbed the stair each evening before the sun went down over the bay.</p>
<p>He trimmed the wick, filled the oil and wrote the weather into a large grey book.</p></article>
<footer>Copyright, all rights reserved</footer></body></html>"""
DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">
<page><title>Harbour</title><ns>0</ns><id>7</id><revision><id>1</id>
<text>A '''harbour''' is a place where [[ship|ships]] are kept.{{Infobox|a=b}}</text></revision>
</page>
<page><title>Port</title><ns>0</ns><id>8</id><redirect title="Harbour"/><revision><id>2</id>
<text>#REDIRECT [[Harbour]]</text></revision></page>
<page><title>Talk:Harbour</title><ns>1</ns><id>9</id><revision><id>3</id>
<text>Is this so?</text></revision></page></mediawiki>"""
RST = "On tides\n========\n\nThe water rises twice a day.\n\nAnd falls\n---------\n\nAs often.\n"


def line(**values: Any) -> bytes:
    return json.dumps(values).encode() + b"\n"


def test_pages_have_titles(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.html").write_text(PAGE, "utf-8")
    (tmp_path / "noending").write_text(PAGE.replace("evening", "night"), "utf-8")
    (tmp_path / "dump.xml.bz2").write_bytes(bz2.compress(DUMP.encode()))
    (tmp_path / "b.rst").write_text(RST, "utf-8")
    (tmp_path / "c.md").write_text("---\ntitle: From above\n---\n# Below\n\nText.\n", "utf-8")
    found = ingest(tmp_path, near_duplicate_threshold=None)
    titles = {doc_id: values["title"] for doc_id, values in found.metadata.items()}
    assert titles == {
        "a.html#0": "On lighthouses",
        "noending#0": "On lighthouses",
        "dump.xml.bz2#0": "Harbour",
        "b.rst#0": "On tides",
        "c.md#0": "From above",
    }
    assert "The keeper climbed" in found.texts["a.html#0"]
    assert "Copyright" not in found.texts["a.html#0"]
    assert found.texts["dump.xml.bz2#0"] == "A harbour is a place where ships are kept."
    assert found.ledger == {
        "dump.xml.bz2#1": "dropped redirect",
        "dump.xml.bz2#2": "dropped unsupported",
    }
    assert found.corpus.about.title_column == "title"


def test_archives_of_everything(tmp_path: Path, ingest: Any) -> None:
    """What is no text in an archive is unsupported, which is not bad."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        for name, data in {
            "x.txt": b"in the tar",
            "y.jsonl.xz": lzma.compress(line(text="x")),
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("pages/one.txt", "page one")
        archive.writestr("pages/one.png", b"\x89PNG\r\n\x1a\n123")
        archive.writestr("pages/one.json", '{"width": 3, "height": 4}')
        archive.writestr("rows.jsonl.gz", gzip.compress(line(text="a row")))
        archive.writestr("inner.tar.zst", zstd.compress(inner.getvalue()))
    found = ingest(tmp_path)
    assert found.texts == {
        "all.zip/pages/one.txt#0": "page one",
        "all.zip/rows.jsonl.gz#0": "a row",
        "all.zip/inner.tar.zst/x.txt#0": "in the tar",
        "all.zip/inner.tar.zst/y.jsonl.xz#0": "x",
    }
    assert found.ledger == {
        "all.zip/pages/one.png": "dropped unsupported",
        "all.zip/pages/one.json": "dropped unsupported",
    }
    (row,) = [row for row in files_of(found) if row["name"] == "all.zip"]
    counts = {name: row[f"num_{name}"] for name in ("read", "kept", "dropped", "quarantined")}
    assert counts == {"read": 6, "kept": 4, "dropped": 2, "quarantined": 0}


def files_of(found: Any) -> list[dict[str, Any]]:
    return list(pq.read_table(found.folder / "files.parquet").to_pylist())


def test_usual_names_are_found(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        line(uuid="u1", Content="one", headline="First", category="x", url="https://a.b")
    )
    (tmp_path / "b.csv").write_text("id,body,label,n\nu2,two,y,7\n", "utf-8")
    found = ingest(tmp_path)
    assert found.texts == {"u1": "one", "u2": "two"}
    assert found.metadata["u1"]["headline"] == "First"
    assert found.metadata["u2"]["n"] == 7
    about = found.corpus.about
    assert (about.label_column, about.title_column) == ("label", "headline")
    assert about.metadata_columns == ["headline", "category", "url", "label", "n"]


def test_what_is_not_the_text_stays_metadata(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(line(text="one", content="kept as well"))
    (tmp_path / "b.jsonl").write_bytes(line(content="two"))
    found = ingest(tmp_path)
    assert found.texts == {"a.jsonl#0": "one", "b.jsonl#0": "two"}
    contents = [values["content"] for values in found.metadata.values()]
    assert contents == ["kept as well", None]


def test_without_a_usual_name_the_columns_are_listed(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(line(abstract="one", year=1999) * 3)
    with pytest.raises(CorpusError, match=r"the columns are abstract, year; .*ingest.text_column"):
        ingest(tmp_path, fill=False)
    assert set(ingest(tmp_path, text_column="abstract").texts.values()) == {"one"}


def test_documents_by_separator_and_heading(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.txt").write_text("first text\n%%\nsecond\ntext\n%%  \n\n%%\nthird", "utf-8")
    found = ingest(tmp_path, document_unit="separator", document_separator="%%")
    assert found.texts == {"a.txt#0": "first text", "a.txt#1": "second\ntext", "a.txt#2": "third"}
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.md").write_text("start\n# One\nx\n## Two\ny\n### Three\nz\n", "utf-8")
    found = ingest(tmp_path, document_unit="heading", heading_level=2)
    assert found.texts == {
        "b.md#0": "start",
        "b.md#1": "# One\nx",
        "b.md#2": "## Two\ny\n### Three\nz",
    }
    assert [values["title"] for values in found.metadata.values()] == [None, "One", "Two"]


def test_filters_drop_with_a_reason_and_an_example(tmp_path: Path, ingest: Any) -> None:
    texts = {
        "good": "A sentence of several plain words that stays in the corpus.",
        "digits": "1234567890 1234567890 12",
        "short": "two words",
        "lines": "the same line\n" * 20,
    }
    rows = b"".join(line(id=name, text=text) for name, text in texts.items())
    (tmp_path / "a.jsonl").write_bytes(rows)
    settings = {"min_words": 3, "max_digit_frac": 0.5, "max_repeated_line_frac": 0.3}
    found = ingest(tmp_path, **settings)
    assert list(found.texts) == ["good"]
    assert found.ledger == {
        "digits": "dropped too_many_digits",
        "short": "dropped too_few_words",
        "lines": "dropped repetitive",
    }
    assert found.metrics["num_dropped_repetitive"] == 1
    page = (found.folder / "report.html").read_text("utf-8")
    assert all(name in page for name in ("too_many_digits", "too_few_words", "1234567890 1234"))


def test_masks_and_mojibake(tmp_path: Path, ingest: Any) -> None:
    texts = ["Write to jane.doe@example.org from 192.168.10.7 please", "The cafÃ© is closed today"]
    (tmp_path / "a.jsonl").write_bytes(b"".join(line(text=text) for text in texts))
    plain = ingest(tmp_path)
    assert list(plain.texts.values()) == texts
    found = ingest(tmp_path, mask_emails=True, mask_ip_addresses=True, mend_mojibake=True)
    assert list(found.texts.values()) == [
        "Write to <EMAIL> from <IP> please",
        "The café is closed today",
    ]
    cleaned = found.corpus.about.cleaned
    assert cleaned["masked_emails"] == cleaned["masked_ip_addresses"] == 1
    assert cleaned["mended_documents"] == 1


@pytest.mark.parametrize("num_workers", [1, 2])
def test_lines_that_recur_are_removed(tmp_path: Path, ingest: Any, num_workers: int) -> None:
    banner = "This site uses cookies to improve your visit"
    for number in range(6):
        text = f"{banner}\nStory number {number} is told here\n{banner}"
        (tmp_path / f"{number}.txt").write_text(text, "utf-8")
    (tmp_path / "only.txt").write_text(banner, "utf-8")
    found = ingest(tmp_path, min_boilerplate_documents=5, num_workers=num_workers)
    assert set(found.texts.values()) == {f"Story number {n} is told here" for n in range(6)}
    assert found.ledger == {"only.txt#0": "dropped boilerplate"}


def test_legacy_encodings_in_tables(tmp_path: Path, ingest: Any) -> None:
    rows = ["Der Bär läuft über die Brücke", "Die Äpfel schmecken süß und gut", "Größere Häuser"]
    table = "text;n\n" + "".join(f"{row} und bleibt natürlich für immer schön;1\n" for row in rows)
    (tmp_path / "a.csv").write_bytes(table.encode("cp1252"))
    (tmp_path / "b.jsonl").write_bytes(
        b"\xff\xfe" + (line(text="aus UTF-16").decode()).encode("utf-16-le")
    )
    found = ingest(tmp_path)
    assert [text.split(" und bleibt")[0] for text in found.texts.values()] == [*rows, "aus UTF-16"]


def test_the_share_of_bad_documents(tmp_path: Path, ingest: Any) -> None:
    """One legacy file of unknown encoding among ten does not stop a first try; three do."""
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text(f"page number {number}", "utf-8")
    (tmp_path / "0.txt").write_bytes(b"\xc0\xc8\xcc\xd2\xd9")
    found = ingest(tmp_path, fill=False, validation_frac=0.3, test_frac=0.3)
    assert found.ledger == {"0.txt#0": "quarantined unknown_encoding"}
    for number in range(3):
        (tmp_path / f"{number}.txt").write_bytes(bytes([0xC0 + number]) + b"\xc8\xcc\xd2\xd9")
    with pytest.raises(CorpusError, match=r"3 of 10 documents .*\(unknown_encoding 3\)"):
        ingest(tmp_path, fill=False)


def test_files_add_up(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        line(text="one") + line(text="one") + b"{bad\n" + line(text="")
    )
    (tmp_path / "b.jsonl").write_bytes(line(text="one") + line(text="two"))
    found = ingest(tmp_path, max_quarantined_frac=1)
    rows = {row["name"]: row for row in files_of(found)}
    parts = ("kept", "duplicate", "dropped", "quarantined")
    for row in rows.values():
        assert row["num_read"] == sum(row[f"num_{part}"] for part in parts)
    assert [rows["a.jsonl"][f"num_{part}"] for part in parts] == [1, 1, 1, 1]
    assert json.loads(rows["a.jsonl"]["reasons"]) == {"bad_json": 1, "empty": 1}
    table = {row["file"]: row for row in found.heard.tables["files"]}
    assert table["a.jsonl"]["quarantined"] == 1
    totals = Counter(
        row["status"] for row in pq.read_table(found.folder / "ledger.parquet").to_pylist()
    )
    assert sum(row["num_read"] for row in rows.values()) == totals.total()
