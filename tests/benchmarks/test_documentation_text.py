"""The corpus of documentation is real text: found in each kind of file, and never twice."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.documentation_text import (
    MIN_LINE_CHARACTERS,
    PART_BYTES,
    describe,
    docstring_lines,
    draw,
    first_of,
    gather_sources,
    html_lines,
    lines_of,
    parts,
    plain_lines,
    python_sources,
    reader_of,
    roff_lines,
    unseen,
    write_documents,
)

PAGE = b"""<!DOCTYPE html><html><head><title>No</title><style>b {}</style></head><body>
<h1>A title</h1><p>The <b>first</b>
paragraph, <a href="x">linked</a> &amp; caf\xc3\xa9.</p><script>var no = 1;</script>
<ul><li>one<li>two</ul><!-- no --><pre>kept
  as it is</pre>after</body></html>"""

MANUAL = rb""".\" a comment
.TH NAME 1
.SH "SEE ALSO"
The \fBcat\fR command reads
.BR file (1)
with \-\-all.
.PP
.\" another
A second paragraph\&.
.TS
"""


def lines(found: Any) -> list[str]:
    return [line.strip() for line in found if line.strip()]


def long_line(number: int) -> str:
    return f"line number {number} of a long text about nothing"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for package in ("apples", "pears"):
        folder = tmp_path / "doc" / package
        folder.mkdir(parents=True)
        for page in range(20):
            text = "\n".join(long_line(1000 * page + number) for number in range(50))
            (folder / f"{package}-{page}.txt").write_text(f"{package} {text}\n", "utf-8")
        (folder / "changelog").write_text(long_line(-1), "utf-8")
        (folder / "picture.png").write_bytes(b"\x89PNG")
    return tmp_path / "doc"


def test_pages_are_read_block_by_block() -> None:
    assert lines(html_lines(PAGE)) == [
        "A title",
        "The first paragraph, linked & café.",
        "one",
        "two",
        "kept",
        "as it is",
        "after",
    ]


def test_manuals_are_read_paragraph_by_paragraph() -> None:
    assert lines(roff_lines(MANUAL)) == [
        "SEE ALSO The cat command reads file (1) with --all.",
        "A second paragraph.",
    ]


def test_the_pythons_own_library_is_a_source() -> None:
    sources = python_sources()
    assert len(sources["python/stdlib"]) > 100
    assert not set(sources["python/stdlib"]) & set(sources["python/purelib"])


def test_docstrings_are_read_without_the_code() -> None:
    code = b'"""Of a module."""\n\ndef f():\n    """Of a function."""\n    return "no"\n'
    assert lines(docstring_lines(code)) == ["Of a module.", "Of a function."]


def test_plain_text_leaves_out_what_is_no_text() -> None:
    assert lines(plain_lines(b"one\x1b\ncaf\xc3\xa9\ncaf\xe9 in Latin-1\ttoo\n")) == ["one", "café"]
    assert not lines(plain_lines(b"\x7fELF\x00\x00"))


@pytest.mark.parametrize(
    ("path", "reader"),
    [
        ("/usr/share/doc/a/index.html", html_lines),
        ("/usr/share/doc/a/README.gz", plain_lines),
        ("/usr/share/man/de/man1/ls.1.gz", roff_lines),
        ("/usr/share/info/a.info-2.gz", plain_lines),
        ("/usr/share/dictd/wn.dict.dz", plain_lines),
        ("/usr/lib/python3/ast.py", docstring_lines),
        ("/usr/share/doc/a/changelog.Debian.gz", None),
        ("/usr/share/doc/a/copyright", None),
        ("/usr/share/doc/a/image.png", None),
        ("/usr/share/doc/a/version.1", None),
    ],
)
def test_the_name_says_how_a_file_is_read(path: str, reader: Any) -> None:
    assert reader_of(Path(path)) is reader


def test_compressed_files_are_read_and_broken_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "good.txt.gz").write_bytes(gzip.compress(b"one\ntwo\n"))
    (tmp_path / "broken.txt.gz").write_bytes(b"no gzip")
    (tmp_path / "broken.py").write_bytes(b"def f(:")
    (tmp_path / "empty.html").write_bytes(b"")
    assert list(lines_of(tmp_path / "good.txt.gz")) == ["one", "two"]
    for name in ("broken.txt.gz", "broken.py", "empty.html"):
        assert not list(lines_of(tmp_path / name))


def test_short_and_repeated_lines_are_left_out() -> None:
    given = [long_line(1), "  " + long_line(2) + "  ", long_line(1), "short", long_line(2)]
    assert list(unseen(given, set())) == [long_line(1), "  " + long_line(2)]


def test_long_files_become_several_documents() -> None:
    given = [long_line(number) for number in range(3000)]
    found = list(parts(given))
    assert len(found) > 2
    assert "\n".join(found).split("\n") == given
    assert all(len(text) < PART_BYTES + 100 for text in found)


def test_no_line_stands_twice_in_what_is_drawn(root: Path) -> None:
    documents = draw(gather_sources([root]), 40_000, max_source_frac=0.9, seed=0)
    found = [line for _, text in documents for line in text.split("\n")]
    assert len({line.strip() for line in found}) == len(found)
    assert min(map(len, found)) >= MIN_LINE_CHARACTERS
    assert 40_000 <= sum(len(text.encode()) for _, text in documents) < 50_000


def test_the_seed_decides_the_order(root: Path) -> None:
    sources = gather_sources([root])
    first, again, other = (draw(sources, 20_000, 1.0, seed) for seed in (0, 0, 1))
    assert first == again
    assert [name for name, _ in first] != [name for name, _ in other]


def test_no_source_fills_more_than_its_part(root: Path) -> None:
    (root / "long").mkdir()
    text = "\n".join(map(long_line, range(50_000, 60_000)))
    (root / "long" / "long.txt").write_text(text, "utf-8")
    report = describe(draw(gather_sources([root]), 90_000, max_source_frac=0.5, seed=0))
    assert report["megabytes_by_source"]["doc/long"] < 0.5 * 0.09 + PART_BYTES / 1e6


def test_too_little_text_is_said(root: Path) -> None:
    sources = gather_sources([root])
    with pytest.raises(SystemExit, match=r"only 0\.0 MB of text found: install"):
        draw(sources, 10_000_000, max_source_frac=1.0, seed=0)


def test_what_is_written_and_described(tmp_path: Path) -> None:
    documents = [("doc/a:/x/a.txt#0", "one two\nthree"), ("doc/b:/x/b.txt#0", "two cafés")]
    write_documents(tmp_path / "documents.jsonl", documents)
    read = [json.loads(line) for line in (tmp_path / "documents.jsonl").open(encoding="utf-8")]
    assert [(each["id"], each["text"]) for each in read] == documents
    report = describe(documents)
    assert report["num_documents"] == 2
    assert report["num_lines"] == 3
    assert report["num_distinct_words"] == 4
    assert report["num_distinct_pretokens"] == len(["one", " two", "\n", "three", "two", " cafés"])
    assert set(report["megabytes_by_source"]) == {"doc/a", "doc/b"}


def test_the_first_documents_are_a_smaller_corpus() -> None:
    documents = [(str(number), "x" * 10) for number in range(5)]
    assert first_of(documents, 25) == documents[:3]
    assert first_of(documents, 0) == []
