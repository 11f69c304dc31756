"""Rows of Parquet and Arrow files, whole, odd or damaged."""

import io
import itertools
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.errors import CorpusError
from tasks.ingest.column_types import to_array
from tasks.ingest.containers.contents import Content
from tasks.ingest.reading.formats import Format
from tasks.ingest.reading.records import FileRefusedError, Record, Refusal
from tasks.ingest.tables.arrow_rows import open_table


def reasons(found: list[Record | Refusal]) -> list[tuple[int | None, str]]:
    return [(one.number, one.reason) for one in found if isinstance(one, Refusal)]


def write_parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def write_arrow_file(table: pa.Table, rows: int = 100, packing: str | None = None) -> bytes:
    out = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=packing)
    with pa.ipc.new_file(out, table.schema, options=options) as writer:
        writer.write_table(table, rows)
    return out.getvalue()


def write_arrow_stream(table: pa.Table, rows: int = 100, packing: str | None = None) -> bytes:
    out = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=packing)
    with pa.ipc.new_stream(out, table.schema, options=options) as writer:
        writer.write_table(table, rows)
    return out.getvalue()


WRITERS = {
    Format.PARQUET: write_parquet,
    Format.ARROW: write_arrow_file,
    Format.ARROW_STREAM: write_arrow_stream,
}
REASONS = {
    Format.PARQUET: "corrupt_parquet",
    Format.ARROW: "corrupt_arrow",
    Format.ARROW_STREAM: "corrupt_arrow",
}


def content(data: bytes, *, is_file: bool = True) -> Content:
    pieces = (data[start : start + 1000] for start in range(0, len(data), 1000))
    return Content("a", data[:10], False, pieces, io.BytesIO(data) if is_file else None)


def rows_of(
    data: bytes, kind: Format, scratch: Path, *, is_file: bool = True
) -> list[Record | Refusal]:
    return read_all(content(data, is_file=is_file), kind, scratch)


def read_all(whole: Content, kind: Format, scratch: Path) -> list[Record | Refusal]:
    """All that is found, with what stops it as a last refusal."""
    found: list[Record | Refusal] = []
    try:
        with open_table(whole, kind, scratch) as table:
            found.extend(table.read_rows())
    except FileRefusedError as refused:
        found.append(refused.refusal)
    return found


def plain_rows(found: list[Record | Refusal]) -> list[dict[str, Any]]:
    return [
        {name: value.as_py() for name, value in one.columns.items()}
        for one in found
        if isinstance(one, Record)
    ]


each_kind = pytest.mark.parametrize("kind", WRITERS)


@each_kind
@pytest.mark.parametrize("is_file", [True, False])
def test_rows_of_arrow(tmp_path: Path, kind: Format, is_file: bool) -> None:
    rows = [{"text": f"text {n}", "n": n, "tags": [str(n), None]} for n in range(300)]
    data = WRITERS[kind](pa.Table.from_pylist(rows))
    with open_table(content(data, is_file=is_file), kind, tmp_path) as table:
        assert table.schema.names == ["text", "n", "tags"]
        assert list(table.column_values("n")) == list(range(300))
        found = list(table.read_rows())
        assert list(table.column_values("text"))[-1] == "text 299"
    assert plain_rows(found) == rows
    assert [one.number for one in found] == list(range(300))
    assert all(isinstance(one.columns["n"], pa.Int64Scalar) for one in found)
    assert not list(tmp_path.iterdir())


def test_an_empty_table_has_no_rows(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array([], pa.string())})
    assert [rows_of(write(table), kind, tmp_path) for kind, write in WRITERS.items()] == [[]] * 3


def odd_columns() -> dict[str, tuple[pa.Array, pa.DataType, list[Any]]]:
    """Columns, the types they are read with, and the values."""
    uuid = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16, None], pa.binary(16)))
    union = pa.UnionArray.from_sparse(
        pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]
    )
    runs = pa.RunEndEncodedArray.from_arrays([1, 2], ["a", None])
    pair = pa.struct([("v", pa.list_(pa.int64(), 2)), ("d", pa.dictionary(pa.int8(), pa.string()))])
    plain_pair = pa.struct([("v", pa.list_(pa.int64())), ("d", pa.string())])
    return {
        "view": (pa.array(["a" * 20, None], pa.string_view()), pa.string(), ["a" * 20, None]),
        "raw": (pa.array([b"a", None], pa.binary_view()), pa.binary(), [b"a", None]),
        "large": (pa.array(["a", None], pa.large_string()), pa.string(), ["a", None]),
        "word": (pa.array(["a", None]).dictionary_encode(), pa.string(), ["a", None]),
        "runs": (runs, pa.string(), ["a", None]),
        "uuid": (uuid, pa.binary(16), [b"a" * 16, None]),
        "list": (pa.array([["a"], None], pa.list_view(pa.string_view())), pa.list_(pa.string()),
                 [["a"], None]),
        "map": (pa.array([[("k", "v")], None], pa.map_(pa.string_view(), pa.large_string())),
                pa.map_(pa.string(), pa.string()), [[("k", "v")], None]),
        "pair": (pa.array([{"v": [1, 2], "d": "x"}, None], pair), plain_pair,
                 [{"v": [1, 2], "d": "x"}, None]),
        "union": (union, pa.string(), ["1", '"b"']),
        "interval": (pa.array([(1, 2, 3), None], pa.month_day_nano_interval()), pa.string(),
                     ["[1, 2, 3]", None]),
        "nothing": (pa.array([{}, None], pa.struct([])), pa.string(), ["{}", None]),
    }  # fmt: skip


@pytest.mark.parametrize("name", odd_columns())
@pytest.mark.parametrize("kind", [Format.ARROW, Format.ARROW_STREAM])
def test_odd_types_become_plain(tmp_path: Path, kind: Format, name: str) -> None:
    column, expected, values = odd_columns()[name]
    data = WRITERS[kind](pa.table({"text": ["one", "two"], "odd": column}))
    with open_table(content(data), kind, tmp_path) as table:
        assert table.schema.field("odd").type == expected
        assert list(table.column_values("odd")) == values
        found = list(table.read_rows())
    assert [row["odd"] for row in plain_rows(found)] == values
    assert {one.columns["odd"].type for one in found} == {expected}
    stored = to_array([one.columns["odd"] for one in found], expected)
    pq.write_table(pa.table({"odd": stored}), io.BytesIO())  # the stages after can


def bad_strings(kind: pa.DataType) -> pa.Array:
    """Rows 70 and 130 of 200 are not UTF-8."""
    raw = pa.array([b"\xff" if n in (70, 130) else b"t%d" % n for n in range(200)])
    strings = pa.StringArray.from_buffers(200, raw.buffers()[1], raw.buffers()[2])
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(pa.array(range(201), pa.int32()), strings)
    return strings


@each_kind
@pytest.mark.parametrize("column_type", [pa.string(), pa.list_(pa.string())])
def test_rows_that_are_not_utf8(tmp_path: Path, kind: Format, column_type: pa.DataType) -> None:
    columns = {
        "text": bad_strings(column_type),
        "word": pa.array(["a", "b"] * 100).dictionary_encode(),
    }
    found = rows_of(WRITERS[kind](pa.table(columns)), kind, tmp_path)
    assert reasons(found) == [(70, "invalid_utf8"), (130, "invalid_utf8")]
    assert [one.number for one in found] == list(range(200))
    assert found[199].columns["word"].as_py() == "b"


@pytest.mark.parametrize("kind", [Format.ARROW, Format.ARROW_STREAM])
def test_a_dictionary_that_is_not_utf8_costs_the_rows_that_use_it(
    tmp_path: Path, kind: Format
) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0, 70, 2]), bad_strings(pa.string()))
    found = rows_of(WRITERS[kind](pa.table({"text": words})), kind, tmp_path)
    assert reasons(found) == [(1, "invalid_utf8")]
    assert [row["text"] for row in plain_rows(found)] == ["t0", "t2"]


@pytest.mark.parametrize("kind", [Format.ARROW, Format.ARROW_STREAM])
@pytest.mark.parametrize("is_utf8", [True, False])
def test_offsets_out_of_bounds_are_damage(tmp_path: Path, kind: Format, is_utf8: bool) -> None:
    batches = [pa.record_batch({"text": ["a", "b"]}), pa.record_batch({"text": ["c", "d"]})]
    data = WRITERS[kind](pa.Table.from_batches(batches))
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1].to_pybytes()[:12]
    place = data.rindex(offsets)
    data = data[:place] + offsets[:8] + b"\0\0\0\x40" + data[place + 12 :]
    if not is_utf8:
        data = data.replace(b"cd", b"\xffd")
    found = rows_of(data, kind, tmp_path)
    assert [row["text"] for row in plain_rows(found)] == ["a", "b"]
    assert reasons(found) == [(None, "corrupt_arrow")]


@each_kind
def test_two_columns_of_one_name(tmp_path: Path, kind: Format) -> None:
    column = pa.array(["a"])
    twice = pa.Table.from_arrays([column, column], ["text", "text"])
    pair = pa.StructArray.from_arrays([column, column], ["b", "b"])
    for table, name in ((twice, "text"), (pa.table({"text": ["a"], "list": pair}), "b")):
        with pytest.raises(CorpusError, match=f"a has two columns named '{name}'"):
            rows_of(WRITERS[kind](table), kind, tmp_path)


def test_intervals_that_pyarrow_cannot_hold_are_unsupported(tmp_path: Path) -> None:
    column = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    data = write_arrow_stream(pa.table({"i": column}))
    months = data.replace(b"\2\0\xff\xff\xff\xff", b"\0\0\xff\xff\xff\xff", 1)  # the type's unit
    found = rows_of(months, Format.ARROW_STREAM, tmp_path)
    assert reasons(found) == [(None, "unsupported")]


def many_rows() -> pa.Table:
    return pa.table(
        {
            "text": [f"hello {n} é " * 5 for n in range(300)],
            "n": range(300),
            "word": pa.array(["a", "b", "c"] * 100).dictionary_encode(),
            "list": [[n, None] for n in range(300)],
            "pair": [{"k": f"v{n}"} for n in range(300)],
        }
    )


@pytest.mark.parametrize("kind", [Format.ARROW, Format.ARROW_STREAM])
def test_of_a_cut_arrow_file_the_beginning_is_read(tmp_path: Path, kind: Format) -> None:
    data = WRITERS[kind](many_rows())
    found = rows_of(data[: len(data) * 2 // 3], kind, tmp_path)
    assert len(found) == 201 or len(found) == 101
    assert plain_rows(found) == many_rows().to_pylist()[: len(found) - 1]
    assert reasons(found) == [(None, "corrupt_arrow")]


@each_kind
@pytest.mark.parametrize("damage", [
    lambda data: data[:5],
    lambda data: data[:9],
    lambda data: data[:100],
    lambda data: data[:8] + b"\0" * 400,
    lambda data: b"",
    lambda data: b"text, not a table\n" * 50,
    lambda data: data[:-8] + b"\xff\xff\xff\x7f" + data[-4:],  # the length of Parquet's footer
    lambda data: data[:4] + b"\xff\xff\xff\x7f" + data[8:],
    lambda data: data[:-10] + b"\xff\xff\xff\x7f" + data[-6:],  # and of Arrow's
    lambda data: data[:-10] + b"\xff\xff\xff\xff" + data[-6:],
])  # fmt: skip
def test_damage_is_refused(tmp_path: Path, kind: Format, damage: Any) -> None:
    whole = WRITERS[kind](many_rows())
    path = tmp_path / "table"
    path.write_bytes(damage(whole))
    with path.open("rb") as file:
        found = read_all(Content("a", b"", False, iter(()), file), kind, tmp_path)
    assert len(found) == 300 or found[-1].reason == REASONS[kind]
    expected = many_rows().to_pylist()
    numbers = [one.number for one in found if isinstance(one, Record)]
    assert plain_rows(found) == [expected[number] for number in numbers]


def test_an_encrypted_file_says_so(tmp_path: Path) -> None:
    data = b"PARE" + write_parquet(many_rows())[4:]
    assert reasons(rows_of(data, Format.PARQUET, tmp_path)) == [(None, "encrypted")]


@contextmanager
def limited_memory() -> Iterator[None]:
    """Lengths without measure fail instead of taking all memory there is."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**31, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@each_kind
@pytest.mark.parametrize("packing", [None, "zstd"])
def test_flipped_bytes_are_refused_or_read(
    tmp_path: Path, kind: Format, packing: str | None
) -> None:
    if kind is Format.PARQUET:
        options = {"compression": packing or "none", "row_group_size": 100}
        whole = write_parquet(many_rows(), write_page_checksum=packing is None, **options)
    else:
        whole = WRITERS[kind](many_rows(), packing=packing)
    random = Random(7)
    outcomes = set()
    with limited_memory():
        for number in range(200):
            data = bytearray(whole)
            ends = (random.randrange(400), len(data) - 1 - random.randrange(1500))
            place = random.choice(ends) if number % 2 else random.randrange(len(data))
            data[place] ^= random.randrange(1, 256)
            with suppress(CorpusError):  # a name changed into its neighbour's
                found = rows_of(bytes(data), kind, tmp_path)
                assert all(isinstance(one, Record | Refusal) for one in found)
                outcomes.update(reason for _, reason in reasons(found))
                plain_rows(found)
    assert REASONS[kind] in outcomes
    assert outcomes <= {REASONS[kind], "invalid_utf8", "compression_bomb", "encrypted"}


def test_batches_of_parquet_are_bounded_in_bytes(tmp_path: Path) -> None:
    """A group of large rows, and one with a large value of a dictionary that all rows share."""
    large = pa.table({"text": [str(n % 10) * 2**20 for n in range(64)]})
    value = pa.array(["x" * 2**22])
    shared = pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * 1000), value)})
    small_pages = {"use_dictionary": False, "data_page_size": 2**20, "write_batch_size": 1}
    for table, options, most in (
        (large, small_pages, 2**24),
        (shared, {"dictionary_pagesize_limit": 2**27}, 2**28),
    ):
        data = write_parquet(table, compression="none", **options)
        default = pa.default_memory_pool()
        pool = pa.proxy_memory_pool(default)
        pa.set_memory_pool(pool)
        try:
            with open_table(content(data), Format.PARQUET, tmp_path) as opened:
                num_rows = sum(1 for _ in itertools.islice(opened.read_rows(), 64))
        finally:
            pa.set_memory_pool(default)
        assert num_rows == 64
        assert 0 < pool.max_memory() < most
