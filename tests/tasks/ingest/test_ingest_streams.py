"""Streams give the same bytes, lines and rows however they are cut into pieces."""

import csv
import gzip
import io
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.ingest.reading.csv_rows import read_csv
from tasks.ingest.reading.gunzip import gunzip
from tasks.ingest.reading.records import FileRefusedError, Record
from tasks.ingest.reading.streams import read_lines


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4), size=st.integers(1, 50))
def test_gunzip_agrees_with_gzip(parts: list[bytes], size: int) -> None:
    packed = b"".join(map(gzip.compress, parts))
    assert b"".join(gunzip(cut(packed, size))) == gzip.decompress(packed) == b"".join(parts)


@given(data=st.binary(max_size=500), size=st.integers(1, 50), missing=st.integers(1, 600))
def test_a_truncated_stream_gives_a_beginning_and_says_so(
    data: bytes, size: int, missing: int
) -> None:
    packed = gzip.compress(data)
    found = bytearray()
    with pytest.raises(FileRefusedError, match="truncated_compression"):
        deque(map(found.extend, gunzip(cut(packed[:-missing], size))), maxlen=0)
    assert data.startswith(bytes(found))


@given(
    lines=st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=9),
    size=st.integers(1, 30),
    limit=st.integers(1, 15),
)
def test_lines_do_not_depend_on_pieces(lines: list[bytes], size: int, limit: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    found = list(read_lines(cut(data, size), limit))
    assert [line.data for line in found] == lines  # all shorter than what is kept of a long one
    assert [line.is_whole for line in found] == [len(line) <= limit for line in lines]
    assert all(data[line.offset :].startswith(line.data + b"\n") for line in found)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)


@given(
    rows=st.lists(st.tuples(cells, cells), max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    size=st.integers(1, 40),
)
def test_csv_comes_back_as_it_was_written(
    rows: list[tuple[str, str]], delimiter: str, size: int
) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("text", "note"), *rows])
    pieces = cut(out.getvalue().encode(), size)
    found = list(read_csv(pieces, source="s", text_column="text", max_bytes=10_000))
    assert all(isinstance(one, Record) for one in found)
    read = [(one.columns["text"], one.columns["note"].text) for one in found]
    assert read == rows


def test_a_compression_bomb_is_stopped_early() -> None:
    pieces = gunzip([gzip.compress(bytes(100 * 2**20), compresslevel=9)])
    sizes: list[int] = []
    with pytest.raises(FileRefusedError):
        sizes.extend(map(len, pieces))
    assert sum(sizes) <= 32 * 2**20


def test_lines_of_a_stream_keep_a_beginning_of_what_is_too_long() -> None:
    lines = list(read_lines([b"ab", b"c\nabcd", b"e" * 300, b"\n\nxyz"], 3))
    assert [line.data for line in lines] == [b"abc", (b"abcd" + b"e" * 300)[:200], b"", b"xyz"]
    assert [line.is_whole for line in lines] == [True, False, True, True]
    assert [line.offset for line in lines] == [0, 4, 309, 310]
