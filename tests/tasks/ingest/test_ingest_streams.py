"""Streams give the same bytes, lines and rows however they are cut into pieces."""

import bz2
import csv
import gzip
import io
import lzma
import random
import shutil
import struct
import subprocess
import tracemalloc
from collections import deque
from collections.abc import Iterator

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from tasks.ingest.containers.decompress import PIECE_BYTES, decompress, is_compressed
from tasks.ingest.reading.records import FileRefusedError, Reason, Record
from tasks.ingest.reading.streams import read_lines
from tasks.ingest.tables.csv_rows import read_csv
from tests.tasks.ingest.archive_builders import COMPRESS

kinds = st.sampled_from(sorted(COMPRESS))
every_kind = pytest.mark.parametrize("kind", sorted(COMPRESS))


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def read_broken(packed: bytes, size: int = 1000) -> tuple[bytes, Reason, int | None]:
    """What can be read before the stream breaks, and how it does."""
    found = bytearray()
    with pytest.raises(FileRefusedError) as caught:
        deque(map(found.extend, decompress(cut(packed, size))), maxlen=0)
    return bytes(found), caught.value.refusal.reason, caught.value.refusal.byte_offset


def mixed_bytes(num_bytes: int) -> bytes:
    """Half noise, half text, so that formats have blocks of all kinds."""
    noise = random.Random(7).randbytes(num_bytes // 2)
    return noise + b"the same words again " * (num_bytes // 42)


@given(
    kind=kinds,
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    size=st.integers(1, 50),
)
def test_members_in_a_row_are_one_content(kind: str, parts: list[bytes], size: int) -> None:
    packed = b"".join(map(COMPRESS[kind], parts))
    assert is_compressed(packed)
    assert b"".join(decompress(cut(packed, size))) == b"".join(parts)


@every_kind
def test_large_contents_come_in_bounded_pieces(kind: str) -> None:
    data = mixed_bytes(5_000_000)
    pieces = list(decompress(cut(COMPRESS[kind](data) * 2, PIECE_BYTES)))
    assert b"".join(pieces) == data * 2
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert len(pieces) < 300


def test_the_standard_library_agrees_on_what_it_wrote_in_other_ways() -> None:
    data = mixed_bytes(300_000)
    for packed, unpack in (
        (gzip.compress(data, compresslevel=1), gzip.decompress),
        (bz2.compress(data, compresslevel=1) + bz2.compress(b""), bz2.decompress),
        (lzma.compress(data, check=lzma.CHECK_SHA256, preset=9), lzma.decompress),
        (zstd.compress(data, level=19) + zstd.compress(b""), zstd.decompress),
    ):
        assert b"".join(decompress([packed])) == unpack(packed) == data


@every_kind
def test_tiny_members_are_put_together(kind: str) -> None:
    pieces = list(decompress([COMPRESS[kind](b"ab") * 20_000]))
    assert b"".join(pieces) == b"ab" * 20_000
    assert len(pieces) < 10


@pytest.mark.parametrize(("tool", "kind"), [("gzip", "gz"), ("bzip2", "bz2"), ("xz", "xz")])
def test_what_the_tools_write_is_read(tool: str, kind: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"there is no {tool}")
    data = mixed_bytes(100_000)
    packed = subprocess.run([tool, "-c"], input=data, capture_output=True, check=True).stdout
    assert b"".join(decompress([packed, COMPRESS[kind](b"more")])) == data + b"more"


def test_zeros_may_follow_where_the_tools_allow_them() -> None:
    for kind in ("gz", "xz"):
        padded = COMPRESS[kind](b"a") + bytes(1000) + COMPRESS[kind](b"b") + bytes(3_000_000)
        assert b"".join(decompress(cut(padded, 4096))) == b"ab"
    for kind in ("bz2", "zst"):
        _, reason, offset = read_broken(COMPRESS[kind](b"abc") + bytes(8))
        assert (reason, offset) == (Reason.DATA_AFTER_COMPRESSION, 3)


def test_frames_of_zstd_that_say_nothing_are_skipped() -> None:
    nothing = struct.pack("<II", 0x184D2A53, 5) + b"never"
    packed = nothing + zstd.compress(b"a") + nothing + nothing + zstd.compress(b"b") + nothing
    assert is_compressed(packed)
    assert b"".join(decompress(cut(packed, 3))) == b"ab"
    assert not is_compressed(nothing)  # of LZ4, perhaps


@every_kind
def test_what_follows_and_is_no_member_is_not_lost_in_silence(kind: str) -> None:
    found, reason, offset = read_broken(COMPRESS[kind](b"abc") + b"more text")
    assert (found, reason, offset) == (b"abc", Reason.DATA_AFTER_COMPRESSION, 3)


@every_kind
def test_a_cut_anywhere_is_never_a_clean_end(kind: str) -> None:
    data = mixed_bytes(200_000)
    packed = COMPRESS[kind](data)
    places = [*range(5, 20), *range(21, len(packed), len(packed) // 15), len(packed) - 1]
    for place in places:
        assert is_compressed(packed[:place])
        found, reason, offset = read_broken(packed[:place])
        assert reason is Reason.TRUNCATED_COMPRESSION
        assert data.startswith(found)
        assert offset == len(found)


@given(kind=kinds, size=st.integers(1, 50), missing=st.integers(1, 600), data=st.binary())
def test_a_truncated_stream_gives_a_beginning_and_says_so(
    kind: str, size: int, missing: int, data: bytes
) -> None:
    found, reason, _ = read_broken(COMPRESS[kind](data)[:-missing], size)
    assert data.startswith(found)
    assert reason is Reason.TRUNCATED_COMPRESSION


@every_kind
def test_changed_bytes_end_in_nothing_but_a_refusal(kind: str) -> None:
    data, dice = mixed_bytes(30_000), random.Random(3)
    packed = COMPRESS[kind](data)
    num_refused = 0
    for _ in range(400):
        changed = bytearray(packed)
        for _ in range(dice.choice((1, 1, 5))):
            changed[dice.randrange(4, len(packed))] = dice.randrange(256)
        try:
            assert sum(map(len, decompress(cut(bytes(changed), 5000)))) < 2**23
        except FileRefusedError:
            num_refused += 1
    assert num_refused > 300


@every_kind
def test_a_compression_bomb_is_stopped_early_and_in_little_memory(kind: str) -> None:
    bomb = COMPRESS[kind](bytes(100 * 2**20))
    tracemalloc.start()
    try:
        sizes: list[int] = []
        with pytest.raises(FileRefusedError, match="compression_bomb"):
            sizes.extend(map(len, decompress([bomb])))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(sizes) <= 32 * 2**20
    assert peak < 16 * 2**20


def test_what_wants_too_much_memory_is_a_bomb() -> None:
    options = {zstd.CompressionParameter.window_log: 28}
    wide = zstd.ZstdCompressor(options=options)
    packed = wide.compress(mixed_bytes(1000)) + wide.flush()
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**28}]
    for data in (packed, lzma.compress(b"abc", filters=filters)):
        assert read_broken(data) == (b"", Reason.COMPRESSION_BOMB, 0)


@pytest.mark.parametrize(
    "text",
    [
        "BZhang is a name",
        "BZh9",
        "BZh91AY&S, they said, would be magic",
        "BZh0",
        "B",
        "",
        "(µ/ is not latin",
        "PK",
        "7zXZ",
        "P*M",
    ],
)
def test_text_that_looks_like_it_is_not_compressed(text: str) -> None:
    assert not is_compressed(text.encode("utf-8"))
    assert not is_compressed(text.encode("latin-1"))


def test_reserved_flags_make_no_gzip() -> None:
    packed = bytearray(gzip.compress(b"a"))
    packed[3] = 0xE0
    assert not is_compressed(bytes(packed))
    assert read_broken(b"no magic at all")[1] is Reason.CORRUPT_COMPRESSION


def test_trouble_with_the_source_is_passed_on() -> None:
    def chunks() -> Iterator[bytes]:
        yield bz2.compress(b"abc")
        raise OSError(5, "no disk")

    pieces = decompress(chunks())
    assert next(pieces) == b"abc"
    with pytest.raises(OSError, match="no disk"):
        next(pieces)


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
    found = list(read_csv(pieces, source="s", text_columns=["text"], max_bytes=10_000))
    assert all(isinstance(one, Record) for one in found)
    read = [(one.columns["text"], one.columns["note"].text) for one in found]
    assert read == rows


def test_lines_of_a_stream_keep_a_beginning_of_what_is_too_long() -> None:
    lines = list(read_lines([b"ab", b"c\nabcd", b"e" * 300, b"\n\nxyz"], 3))
    assert [line.data for line in lines] == [b"abc", (b"abcd" + b"e" * 300)[:200], b"", b"xyz"]
    assert [line.is_whole for line in lines] == [True, False, True, True]
    assert [line.offset for line in lines] == [0, 4, 309, 310]
