"""A file's format is told from its content first, then from its name."""

import codecs
import csv
import io
import itertools
import json
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ingest.fields import USUAL_TEXTS
from tasks.ingest.reading.formats import Format, detect_format
from tasks.ingest.reading.streams import HEAD_BYTES
from tests.folders import shared_data

TEXT, MARKDOWN, RST, HTML = Format.TEXT, Format.MARKDOWN, Format.RST, Format.HTML
JSONL, JSON, CSV = Format.JSONL, Format.JSON, Format.CSV
PARQUET, ARROW, ARROW_STREAM = Format.PARQUET, Format.ARROW, Format.ARROW_STREAM
MEDIAWIKI, UNSUPPORTED = Format.MEDIAWIKI, Format.UNSUPPORTED


def detect(content: str | bytes, name: str = "nameless") -> Format:
    data = content.encode() if isinstance(content, str) else content
    return detect_format(data[:HEAD_BYTES], len(data) <= HEAD_BYTES, name, USUAL_TEXTS)


PROSE = "It was a dark night.\nThe rain fell, and fell.\n\n  Chapter 1\n"
LINES = '{"text": "a"}\n{"text": "b"}\n'
ARRAY = '[\n  {"text": "a"},\n  {"text": "b"}\n]\n'
OBJECT = '{\n  "text": "a",\n  "n": [1, 2]\n}\n'
HTML_PAGE = "<!DOCTYPE html>\n<html><head><title>A page</title></head><body>Hello.</body></html>\n"
WIKI_DUMP = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">\n'
    "  <page><title>A</title><ns>0</ns><id>1</id></page>\n</mediawiki>\n"
)
TABLE = "name,year,score\na,1999,0.5\nb,2000,0.25\nc,2001,1\n"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *[("a" + ending, TEXT) for ending in ("", ".txt", ".text", ".log", ".dat", ".1", ".py")],
        *[("a" + ending, TEXT) for ending in (".c", ".toml", ".yaml", ".ini", ".doc", ".unheard")],
        ("README", TEXT),
        ("a.md", MARKDOWN),
        ("A.MarkDown", MARKDOWN),
        ("a.mdx", MARKDOWN),
        ("a.rst", RST),
        ("a.rest", RST),
        ("a.html", HTML),
        ("a.htm", HTML),
        ("a.jsonl", JSONL),
        ("a.ndjson", JSONL),
        ("a.json", JSON),
        ("a.csv", CSV),
        ("a.tsv", CSV),
        ("a.parquet", PARQUET),
        ("a.feather", ARROW),
        ("a.arrow", ARROW_STREAM),
        *[("a" + ending, UNSUPPORTED) for ending in (".css", ".js", ".svg", ".xml", ".lock")],
        *[("a" + ending, UNSUPPORTED) for ending in (".ipynb", ".png", ".pdf", ".docx")],
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz", ".bz2", ".xz", ".zst", ".GZ"])
def test_readable_content_goes_by_its_name(name: str, found: Format, packed: str) -> None:
    assert detect(PROSE, name + packed) is found


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (LINES, JSONL),
        ('{"text": "alone"}', JSONL),
        ('\n{"text": "a"}\nbroken\n[1]\n{"text": "b"}\n{"c": 1}\n', JSONL),
        ('{"text": "' + "long " * 20_000, JSONL),
        (ARRAY, JSON),
        ('[{"text": "' + "long " * 20_000, JSON),
        ('["a", "b"]', JSON),
        ('["a",\n "' + "long " * 20_000, JSON),
        (OBJECT, JSON),
        (OBJECT * 3, JSON),
        ('[{"text": "a"}, {"te', JSON),
        (HTML_PAGE, HTML),
        (WIKI_DUMP, MEDIAWIKI),
        ("text,n\na,1\n", CSV),
        ("n\tContent\n1\ta\n", CSV),
        ('n;body\n1;"a\nb"\n', CSV),
        ('text|n\n"' + "long " * 20_000, CSV),
        (TABLE, CSV),
        (TABLE.replace(",", "\t"), CSV),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be"])
def test_content_goes_before_name(content: str, found: Format, encoding: str) -> None:
    names = ["nameless", "a.dat"] if content.startswith("name") else ["a.txt", "a.jsonl", "a.log"]
    for name in names:
        assert detect(content.encode(encoding), name) is found


@pytest.mark.parametrize(
    "content",
    [
        PROSE,
        "Text, in a sense, is this.\nAnother line\n",
        "Content, he said\n",
        "text, and more",
        "Roses are red, violets blue\nSugar is sweet, and so are you\n" * 3,
        "milk,eggs\nbread\nbutter,jam,honey\n",
        "one,two\nthree,four\n",
        "2024-01-01 10:00:00,123 INFO started\n2024-01-01 10:00:01,456 INFO done\n" * 4,
        "a, b\nc, d\n" * 4,
        "{not json}\n{at all}\n",
        '{"key": value} is a line of a manual\nand this another one\n',
        '["quoted", he said] and went on\n',
        "[1] A footnote\n",
        "[1, 2, 3]",
        "[]",
        "PAR1 is a receptor.",
        "ARROW1",
        "GIF89a is a format of images.",
        "BM, MZ, RIFF and OggS are magics.",
        "я" * 40,
        "x",
        "a\0b" + "c" * 400,  # see the next test
    ],
)
def test_what_looks_like_something_else_stays_text(content: str) -> None:
    assert detect(content, "a.txt") is TEXT
    assert detect(content) is (UNSUPPORTED if "\0" in content else TEXT)


def test_markdown_and_rest_may_begin_with_anything_but_json() -> None:
    for beginning in (HTML_PAGE, "text, body\na, b\n", TABLE):
        assert detect(beginning, "a.md") is MARKDOWN
        assert detect(beginning, "a.rst") is RST
    assert detect(LINES, "a.md") is JSONL


def test_xml_is_no_text_unless_its_name_says_so() -> None:
    feed = '<?xml version="1.0"?>\n<rss><channel/></rss>\n'
    assert detect(feed) is detect(feed, "a.rss") is detect(feed, "a.xml") is UNSUPPORTED
    assert detect(feed, "a.txt") is TEXT


def test_json_goes_by_name_where_lines_leave_it_open() -> None:
    mostly_bad = LINES + "{bad\n[1]\n{worse\n"
    assert detect(mostly_bad, "a.jsonl") is JSONL
    assert detect(mostly_bad, "a.json") is JSON
    assert detect(mostly_bad) is JSONL  # the first line is an object
    assert detect('{"n": 1}', "a.json") is JSON
    assert detect('{"n": "' + "long " * 20_000, "a.json") is JSON
    assert detect(LINES, "a.json") is JSONL
    assert detect("{broken", "a.json") is JSON


def test_a_header_goes_by_the_named_text_column() -> None:
    data = b"story,n\na,1\n"
    assert detect_format(data, True, "a.txt", USUAL_TEXTS) is TEXT
    assert detect_format(data, True, "a.txt", ["story"]) is CSV


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n...",
        b"\xff\xd8\xff\xe0JFIF",
        b"GIF89a\1\0\1\0",
        b"RIFF\x24\0\0\0WEBPVP8 ",
        b"BM\x46\0\0\0\0\0",
        b"\0\0\1\0\1\0",
        b"%PDF-1.7\n",
        b"%!PS-Adobe-3.0\n",
        b"{\\rtf1\\ansi Hello}",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"PK\x03\x04\x14",
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!\x1a\x07\0",
        pytest.param(b"\x1f\x8b\x08\0twice packed", id="gzip"),
        b"x" * 257 + b"ustar\0",
        b"!<arch>\n",
        b"\x7fELF\2",
        b"MZ\x90\0\3",
        b"\xca\xfe\xba\xbe\0",
        b"\0asm\1\0",
        b"wOF2\0\1\0\0",
        b"\0\1\0\0\0\x0f",
        b"OggS\0\2",
        b"fLaC\0\0",
        b"ID3\x03\0",
        b"\xff\xfb\x90\x64\0",
        b"\0\0\0\x20ftypisom",
        b"\x1a\x45\xdf\xa3",
        b"SQLite format 3\0",
        b"\x93NUMPY\1",
        b"FEA1\0\0",
        b"Obj\1\4",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        bytes(range(256)),
        b"key\0value\0other\0thing\0",
        b"\1\0\2\0\3\0\4\0" * 50,
        b"noise \1\2\3\4\5" * 30,
    ],
)
@pytest.mark.parametrize("name", ["nameless", "a.txt", "a.md", "a.html", "a.xml"])
def test_binary_content_is_unsupported(content: bytes, name: str) -> None:
    assert detect(content, name) is UNSUPPORTED


def parquet_file() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["a"]}), out)
    return out.getvalue()


def arrow_stream() -> bytes:
    out = io.BytesIO()
    table = pa.table({"text": ["a"]})
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def arrow_file() -> bytes:
    out = io.BytesIO()
    table = pa.table({"text": ["a"]})
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


@pytest.mark.parametrize("name", ["nameless", "a.txt", "a.csv", "a.parquet", "a.arrow", "a.png"])
def test_tables_of_arrow_are_known_by_content(name: str) -> None:
    assert detect(parquet_file(), name) is PARQUET
    assert detect(parquet_file()[:5], name) is PARQUET
    assert detect(b"PARE" + parquet_file()[4:], name) is PARQUET
    assert detect(arrow_file(), name) is ARROW
    assert detect(arrow_stream(), name) is ARROW_STREAM


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [PROSE, "Война и мир. Том первый, часть 1.\n" * 9, "été\n" * 20])
def test_wide_encodings_are_text(text: str, encoding: str) -> None:
    assert detect(text.encode(encoding)) is TEXT
    assert detect((text * 4000).encode(encoding), "a.md") is MARKDOWN
    assert detect(codecs.BOM_UTF16_LE + "日本語の文章。\n".encode("utf-16-le")) is TEXT


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("явление природы", "cp1251"),
        ("Привет, мир", "koi8-r"),
        ("Füße", "latin-1"),
        ("こんにちは、世界", "shift_jis"),
        ("こんにちは、世界", "euc_jp"),
        ("こんにちは、世界", "iso2022_jp"),
        ("你好，世界", "gb18030"),
        ("안녕하세요 세계", "iso2022_kr"),
        ("\x1b[31mred\x1b[0m", "utf-8"),
    ],
)
def test_older_encodings_are_text(text: str, encoding: str) -> None:
    assert detect((text + "\n").encode(encoding) * 50) is TEXT


def test_texts_of_many_languages_are_text() -> None:
    folder = shared_data("udhr_encodings")
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"]
    assert len(paths) > 10
    for path in paths:
        assert detect(path.read_bytes()) is TEXT, path.name


def test_naughty_strings_are_what_they_are() -> None:
    folder = shared_data("blns")
    assert detect((folder / "blns.txt").read_bytes(), "blns.txt") is TEXT
    assert detect((folder / "blns.json").read_bytes()) is JSON


cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n"), max_size=9)


@given(
    rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=9), mark=st.sampled_from(",;\t|")
)
def test_whatever_is_written_as_csv_with_a_text_column_is_csv(
    rows: list[tuple[str, str]], mark: str
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("id", "text"), *rows])
    assert detect(out.getvalue(), "a.txt") is CSV


@given(st.lists(st.dictionaries(cells, cells, min_size=1, max_size=3), min_size=1, max_size=5))
def test_whatever_is_written_as_json_is_json(rows: list[dict[str, str]]) -> None:
    assert detect("".join(json.dumps(row) + "\n" for row in rows)) is JSONL
    assert detect(json.dumps(rows)) is JSON
    assert detect(json.dumps(rows, indent=2)) is JSON


@given(head=st.binary(max_size=300), name=st.sampled_from(["a", "a.txt", "a.json", "a.csv"]))
def test_any_bytes_have_a_format(head: bytes, name: str) -> None:
    for is_all in (True, False):
        assert detect_format(head, is_all, name, USUAL_TEXTS) in Format


def test_hostile_heads_take_little_time() -> None:
    marks = ["[", "{", '"', "\\", ",", "\n", "\0", "<", '{"a":', '["', '\\"', "\t"]
    for first, second in itertools.product(marks, repeat=2):
        head = (first + second * (HEAD_BYTES // len(second))).encode()[:HEAD_BYTES]
        start = time.perf_counter()
        for name in ("a", "a.txt", "a.json"):
            detect_format(head, False, name, USUAL_TEXTS)
            detect_format(head, True, name, USUAL_TEXTS)
        assert time.perf_counter() - start < 2, (first, second)
