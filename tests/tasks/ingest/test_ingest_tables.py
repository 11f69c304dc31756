"""Records of JSON and CSV files, as their readers give them."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import CorpusError
from tasks.ingest.reading.records import FileRefusedError, Reason, Record, Refusal
from tasks.ingest.tables.csv_rows import CsvCell, read_csv
from tasks.ingest.tables.json_array import read_json_array
from tasks.ingest.tables.jsonl import read_jsonl

BIG = 10**6


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def array(data: bytes, size: int = 7, max_bytes: int = BIG) -> list[Record | Refusal]:
    return list(read_json_array(cut(data, size), max_bytes=max_bytes))


def lines(data: bytes, size: int = 7, max_bytes: int = BIG) -> list[Record | Refusal]:
    return list(read_jsonl(cut(data, size), max_bytes=max_bytes))


def table(data: bytes, size: int = 7, max_bytes: int = BIG) -> list[Record | Refusal]:
    names = ["text", "body"]
    return list(read_csv(cut(data, size), source="s", text_columns=names, max_bytes=max_bytes))


def reasons(found: list[Record | Refusal]) -> list[tuple[int | None, str]]:
    return [(one.number, one.reason) for one in found if isinstance(one, Refusal)]


characters = st.characters(codec="utf-8") | st.sampled_from('"\\[]{},: \n')
strings = st.text(characters, max_size=12)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(strings, values, max_size=4)
sizes = st.integers(1, 60)


@given(
    rows=st.lists(objects, max_size=5),
    size=sizes,
    indent=st.none() | st.integers(0, 2),
    is_ascii=st.booleans(),
    has_bom=st.booleans(),
)
def test_an_array_is_read_as_json_has_it(
    rows: list[dict[str, Any]], size: int, indent: int | None, is_ascii: bool, has_bom: bool
) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=is_ascii)
    data = b"\xef\xbb\xbf" * has_bom + b" \n" + text.encode() + b"\n"
    found = array(data, size)
    assert all(isinstance(one, Record) for one in found)
    assert [one.columns for one in found] == json.loads(text) == rows
    assert [one.number for one in found] == list(range(len(rows)))
    places = [slice(one.byte_offset, one.byte_offset + one.num_bytes) for one in found]
    assert [json.loads(data[place]) for place in places] == rows


@given(rows=st.lists(objects, max_size=5), size=sizes, is_ascii=st.booleans())
def test_lines_are_read_as_json_has_them(
    rows: list[dict[str, Any]], size: int, is_ascii: bool
) -> None:
    data = "".join(json.dumps(row, ensure_ascii=is_ascii) + "\n\n" for row in rows).encode()
    found = lines(data, size)
    assert [one.columns for one in found] == rows
    places = [slice(one.byte_offset, one.byte_offset + one.num_bytes) for one in found]
    assert [json.loads(data[place]) for place in places] == rows


@given(texts=st.lists(strings, min_size=1, max_size=5), size=sizes)
def test_an_array_of_strings_holds_texts(texts: list[str], size: int) -> None:
    found = array(json.dumps(texts, indent=1).encode(), size)
    assert [(one.text, one.columns) for one in found] == [(text, {}) for text in texts]


@given(
    rows=st.lists(objects | strings, min_size=1, max_size=3),
    size=sizes,
    junk=st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"}", b"]", b"[", b",", b"\\"]),
    place=st.integers(0, 10**6),
    limit=st.integers(1, 60),
)
def test_a_damaged_array_gives_records_and_refusals(
    rows: list[Any], size: int, junk: bytes, place: int, limit: int
) -> None:
    data = json.dumps(rows).encode()
    start = place % (len(data) + 1)
    damaged = data[:start] + junk + data[start + len(junk) :]
    found = array(damaged, size, limit)
    assert array(damaged, len(damaged) + 1, limit) == found
    numbers = [one.number for one in found]
    assert [number for number in numbers if number is not None] == list(
        range(len(numbers) - numbers.count(None))
    )
    assert numbers.index(None) == len(numbers) - 1 if None in numbers else True
    if found and not reasons(found):
        json.loads(damaged)  # whoever refuses nothing says that all is well


BAD_VALUES = {
    "invalid_utf8": b'{"a": "caf\xff"}',
    "bad_json": b'{"a": 1 "b": 2}',
    "not_an_object": b"[1]",
    "duplicate_key": b'{"a": 1, "b": {"c": 2, "c": 2}}',
    "lone_surrogate": b'{"a": "\\ud800"}',
    "not_finite_number": b'{"a": NaN}',
    "huge_integer": b'{"a": ' + b"7" * 5000 + b"}",
    "too_deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "too_long": b'{"a": "' + b"a" * 300_000 + b'"}',
}
MORE_BAD_VALUES = [
    ("not_an_object", b"null"),
    ("not_an_object", b'"text"'),
    ("not_finite_number", b'{"a": [-1e999]}'),
    ("not_finite_number", b'{"a": Infinity}'),
    ("too_deep", b'{"a": ' + b"[" * 80 + b"]" * 80 + b"}"),
    ("duplicate_key", b'{"a": 1, "\\u0061": 1}'),
    ("bad_json", b'{"a": "b\x01"}'),
]


@pytest.mark.parametrize(("reason", "value"), [*BAD_VALUES.items(), *MORE_BAD_VALUES])
def test_a_bad_value_is_refused_by_itself(reason: str, value: bytes) -> None:
    good = b'{"a": 1}'
    for found, start in (
        (lines(good + b"\n" + value + b"\n" + good, 1000, 250_000), 9),
        (array(b"[" + good + b"," + value + b", " + good + b"]", 1000, 250_000), 10),
    ):
        assert [one.number for one in found] == [0, 1, 2]
        assert reasons(found) == [(1, reason)]
        assert found[1].byte_offset == start
        assert found[1].preview == value[:200]


@pytest.mark.parametrize(
    ("data", "num_records", "offset"),
    [
        (b'[{"a": 1}, {"a": 2}', 2, 19),
        (b'[{"a": 1}, {"a": ', 1, 11),
        (b'[{"a": 1}, {"a": "open}]', 1, 11),
        (b'[{"a": 1}, ]', 1, 11),
        (b'[{"a": 1},, {"a": 2}]', 1, 10),
        (b'[{"a": 1} {"a": 2}]', 1, 10),
        (b'[{"a": 1}] {"a": 2}', 1, 11),
        (b'[{"a": 1}, 7', 1, 11),
        (b"[", 0, 1),
        (b'["a", "b', 1, 6),
    ],
)
def test_where_an_array_breaks_its_rest_is_refused(
    data: bytes, num_records: int, offset: int
) -> None:
    found = array(data)
    assert [type(one) for one in found] == [Record] * num_records + [Refusal]
    rest = found[-1]
    assert (rest.number, rest.reason, rest.byte_offset) == (None, Reason.BAD_JSON, offset)


def test_odd_elements_cost_themselves_only() -> None:
    assert reasons(array(b'["a", null, {"b": 1}, "c"]')) == [
        (1, "text_not_string"),
        (2, "text_not_string"),
    ]
    assert array(b" [ ] \n") == []


@pytest.mark.parametrize("data", [b"[1, 2]", b"[[1]]", b"[null]", b"3", b'"a"', b"nonsense {}"])
def test_other_json_is_unsupported(data: bytes) -> None:
    assert reasons(array(data)) == [(None, "unsupported")]


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (b'{"Text": "a", "n": 1}', []),
        (b'{\n"body": "a"}\n{\n"body": "b"}{"other": 1}', []),
        (b'{"name": "settings", "n": 1}', [(None, "unsupported")]),
        (b'{"data": [{"text": "a"}]}', [(None, "unsupported")]),
        (b'{"n": 1, }', [(None, "unsupported")]),
        (b'{"n": "' + b"a" * 99, [(None, "unsupported")]),
        (b'{"text": "a"', [(0, "bad_json")]),
        (b'{"text": "a", "text": "b"}', [(0, "duplicate_key")]),
        (b'{"text": "' + b"a" * 99 + b'"}', [(0, "too_long")]),
        (b'{"text": "a"}, {"text": "b"}', [(None, "bad_json")]),
    ],
)
def test_objects_outside_an_array(data: bytes, outcome: list[tuple[int | None, str]]) -> None:
    found = array(data, max_bytes=50)
    assert reasons(found) == outcome
    if not outcome:
        assert found[0].columns.keys() & {"Text", "body"}


@pytest.mark.parametrize(
    "stretch",
    [b'{"a": "' + b'\\"' * 2**15, b'{"a": [' + b"[" * 2**16, b"\\" * 2**16, b'[{"":"",' * 2**13],
)
def test_what_never_ends_takes_bounded_memory_and_linear_time(stretch: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'[{"a": 1}, {"a": "' if stretch.startswith(b"\\") else b'[{"a": 1}, '
        for _ in range(64):
            yield bytes(bytearray(stretch))

    tracemalloc.start()
    try:
        found = list(read_json_array(pieces(), max_bytes=2**18))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reasons(found) == [(None, "bad_json")]
    assert found[1].byte_offset == 11
    assert peak < 2**20


@given(
    rows=st.lists(st.lists(strings, min_size=3, max_size=3), max_size=5),
    size=sizes,
    mark=st.sampled_from(",;\t|"),
    ending=st.sampled_from(["\n", "\r\n"]),
    has_bom=st.booleans(),
)
def test_rows_of_csv_are_where_they_say(
    rows: list[list[str]], size: int, mark: str, ending: str, has_bom: bool
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=mark, quoting=csv.QUOTE_ALL, lineterminator=ending)
    writer.writerows([("n", "Body", "other"), *rows])
    data = b"\xef\xbb\xbf" * has_bom + out.getvalue().encode()
    found = table(data, size)
    assert [(one.number, one.columns["Body"]) for one in found] == [
        (number, row[1]) for number, row in enumerate(rows)
    ]
    for one, row in zip(found, rows, strict=True):
        assert (one.columns["n"].text, one.columns["other"].text) == (row[0], row[2])
        place = data[one.byte_offset : one.byte_offset + one.num_bytes].decode()
        assert next(csv.reader(io.StringIO(place, newline=""), delimiter=mark)) == row
        assert one.preview == place.split("\n")[0].encode()[:200]


def test_the_likeliest_text_column_is_plain_text() -> None:
    (found,) = table(b"BODY,Text,text\n1,2,3\n")
    assert found.columns == {"BODY": CsvCell("1", 1), "Text": CsvCell("2", 2), "text": "3"}
    (found,) = table(b"Text,body,n\n1,2,3\n")
    assert found.columns == {"Text": CsvCell("1", 1), "body": "2", "n": CsvCell("3", 3)}
    (found,) = table(b"story;n\na,b;1\n")
    assert found.columns == {"story": CsvCell("a,b", "a,b"), "n": CsvCell("1", 1)}


def test_rows_of_csv_are_refused_by_themselves() -> None:
    rows = [
        b"text,n",
        b"good,1",
        b"b\xffd,2",
        b"short",
        b'"odd"x,3',
        b"l" * 200 + b"ong,4",
        b'"in\n' + b"two " * 50 + b'",5',
        b"",
        b"fine,6",
        b'"open,7',
    ]
    found = table(b"\n".join(rows), 1000, 199)
    assert reasons(found)[:4] == [
        (1, "invalid_utf8"),
        (2, "wrong_field_count"),
        (3, "bad_csv"),
        (4, "too_long"),
    ]
    assert reasons(found)[-1] == (len(found) - 1, "bad_csv")
    assert [one.columns["text"] for one in found if isinstance(one, Record)] == ["good", "fine"]
    starts = [sum(map(len, rows[:n])) + n for n in range(len(rows))]
    assert [one.byte_offset for one in found][:6] == starts[1:7]
    assert [one.num_bytes for one in found][:6] == [6, 5, 5, 8, None, None]


@pytest.mark.parametrize(
    ("header", "reason"),
    [(b"te\xffxt,n", "invalid_utf8"), (b'"text"n,m', "bad_csv"), (b"n," * 200, "too_long")],
)
def test_a_header_that_cannot_be_read_refuses_the_file(header: bytes, reason: str) -> None:
    with pytest.raises(FileRefusedError, match=reason):
        table(header + b"\na,1\n", max_bytes=100)


def test_columns_of_csv_have_names_of_their_own() -> None:
    with pytest.raises(CorpusError, match="s has two columns named 'n': rename one of them"):
        table(b"text,n,m,n\na,1,2,3\n")
    wide = b",".join(b"c%d" % number for number in range(10**5))
    assert len(table(wide + b"\n" + b"," * (10**5 - 1), 2**16)[0].columns) == 10**5
