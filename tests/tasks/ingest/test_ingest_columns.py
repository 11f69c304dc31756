"""Columns play the parts the settings give them; metadata keeps its types."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from model.errors import CorpusError
from tasks.ingest.column_types import stored_type, to_array, type_of, unify
from tasks.ingest.config import IngestConfig
from tasks.ingest.tables.csv_rows import read_cell


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def schema_of(folder: Path) -> dict[str, str]:
    schema = pq.read_schema(folder / "documents" / "shard-00000.parquet")
    return {field.name: str(field.type) for field in schema}


def test_types_are_found_over_the_whole_corpus(tmp_path: Path, ingest: Any) -> None:
    write(
        tmp_path / "a.jsonl",
        {
            "text": "a",
            "int": 1,
            "float": 1,
            "bool": True,
            "mixed": "x",
            "tags": ["p"],
            "none": None,
        },
        {"text": "b", "int": 2, "float": 0.5, "mixed": 7, "tags": [], "nested": {"k": [1, None]}},
    )
    write(tmp_path / "b.jsonl", {"text": "c", "mixed": [1, "é"], "tags": None, "huge": 2**70})
    found = ingest(tmp_path, documents_per_shard=1)
    types = schema_of(found.folder)
    assert list(types)[:5] == ["doc_id", "text", "content_sha256", "source", "split"]
    assert types["content_sha256"] == "fixed_size_binary[32]"
    assert {name: types[name] for name in list(types)[5:]} == {
        "int": "int64",
        "float": "double",
        "bool": "bool",
        "mixed": "string",
        "tags": "list<element: string>",
        "none": "string",
        "nested": "string",
        "huge": "string",
    }
    first, second, third = found.metadata.values()
    assert (first["float"], first["bool"], first["mixed"], first["tags"]) == (1.0, True, "x", ["p"])
    assert (second["mixed"], second["tags"], second["nested"]) == ("7", [], '{"k": [1, null]}')
    assert (third["mixed"], third["int"], third["huge"]) == ('[1, "é"]', None, str(2**70))


def test_csv_cells_are_typed_and_codes_stay_text(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.csv").write_text(
        "text,year,price,code,flag,mixed,gap\n1.50,1999,1.50,007,true,1.50,\nb,2000,2,12,false,x,1\n"
    )
    found = ingest(tmp_path)
    assert list(found.texts.values()) == ["1.50", "b"]
    assert list(found.metadata.values()) == [
        {"year": 1999, "price": 1.5, "code": "007", "flag": True, "mixed": "1.50", "gap": None},
        {"year": 2000, "price": 2.0, "code": "12", "flag": False, "mixed": "x", "gap": 1},
    ]


def test_parquet_types_are_kept(tmp_path: Path, ingest: Any) -> None:
    moment = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
    columns = {
        "text": pa.array(["a", "b"], pa.large_string()),
        "i8": pa.array([1, None], pa.int8()),
        "f32": pa.array([0.5, None], pa.float32()),
        "when": pa.array([moment, None], pa.timestamp("ns", "UTC")),
        "day": pa.array([datetime.date(2024, 2, 29), None]),
        "list": pa.array([[1, 2], []], pa.list_(pa.int16())),
        "struct": pa.array([{"k": [1]}, None]),
        "map": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int32())),
        "price": pa.array([decimal.Decimal("1.50"), None]),
        "raw": pa.array([b"\xff", None]),
        "word": pa.array(["x", "y"]).dictionary_encode(),
        "vector": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    found = ingest(tmp_path)
    stored = pq.read_schema(found.folder / "documents" / "shard-00000.parquet")
    changed = {"word": pa.string(), "vector": pa.list_(pa.float32())}
    for name in list(columns)[1:]:
        assert stored.field(name).type == changed.get(name, columns[name].type), name
    first, second = found.metadata.values()
    assert (first["struct"], first["map"], first["word"]) == ({"k": [1]}, [("k", 1)], "x")
    assert (first["when"], first["raw"], first["vector"]) == (moment, b"\xff", [1.0, 2.0])
    assert second["i8"] is None
    assert second["list"] == []


def test_tables_of_different_types_meet(tmp_path: Path, ingest: Any) -> None:
    days = pa.array([datetime.date(2024, 2, 29)])
    pq.write_table(pa.table({"text": ["a"], "n": [2**60 + 1], "day": days}), tmp_path / "a.parquet")
    write(
        tmp_path / "b.jsonl", {"text": "b", "n": 0.5, "day": "tomorrow"}, {"text": "c", "n": 2**62}
    )
    metadata = list(ingest(tmp_path).metadata.values())
    assert metadata == [
        {"n": float(2**60 + 1), "day": '"2024-02-29"'},
        {"n": 0.5, "day": "tomorrow"},
        {"n": 2.0**62, "day": None},
    ]


def test_a_value_its_column_cannot_hold(tmp_path: Path, ingest: Any) -> None:
    far, near = datetime.datetime(9999, 1, 1), datetime.datetime(2000, 1, 1)
    for name, moment, unit in (("a", far, "s"), ("b", near, "ns")):
        when = pa.array([moment], pa.timestamp(unit))
        pq.write_table(pa.table({"text": [name], "when": when}), tmp_path / f"{name}.parquet")
    with pytest.raises(CorpusError, match=r"column 'when' has a value .*timestamp\[ns\]"):
        ingest(tmp_path)


@pytest.mark.parametrize(
    ("left", "right", "whole"),
    [
        (pa.int8(), pa.int32(), pa.int32()),
        (pa.uint8(), pa.int32(), pa.int64()),
        (pa.uint64(), pa.int64(), pa.string()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.bool_(), pa.int64(), pa.string()),
        (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("s"), pa.timestamp("s", "UTC"), pa.string()),
        (pa.list_(pa.int64()), pa.list_(pa.float64()), pa.list_(pa.float64())),
        (pa.list_(pa.int64()), pa.int64(), pa.string()),
        (pa.null(), pa.date32(), pa.date32()),
    ],
)
def test_unified_types(left: pa.DataType, right: pa.DataType, whole: pa.DataType) -> None:
    assert unify(left, right) == unify(right, left) == whole


def test_values_of_any_kind_become_strings_without_loss() -> None:
    cells = [read_cell(text) for text in ("007", "1.50", "1e5", "", "true", "-0", "٣")]
    assert to_array(cells, pa.string()).to_pylist() == [
        "007",
        "1.50",
        "1e5",
        None,
        "true",
        "-0",
        "٣",
    ]
    assert type_of(read_cell("٣")) == pa.string()  # a digit, but not one JSON or C would read
    assert stored_type(type_of([None])) == pa.list_(pa.string())


def test_ids_come_from_the_usual_columns(tmp_path: Path, ingest: Any) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"id": "x", "text": "a"},
        {"id": 7, "text": "b"},
        {"id": None, "text": "c"},
        {"id": "", "text": "d"},
        {"id": "../../etc/passwd\0", "text": "e"},
    )
    found = ingest(path)
    ids = ["x", "7", "a.jsonl#2", "a.jsonl#3", "../../etc/passwd\0"]
    assert list(found.texts) == ids
    required = ingest(path, id_column="id")
    assert required.ledger == {"a.jsonl#2": "quarantined no_id", "a.jsonl#3": "quarantined no_id"}
    other = ingest(write(path, {"doc_id": "y", "id": 1, "text": "a"}))
    assert other.metadata == {"y": {"id": 1}}


def test_splits_can_be_given(tmp_path: Path, ingest: Any) -> None:
    spellings = ["train", "Validation", " dev ", "val", "valid", "TEST", "training"]
    rows = [{"text": f"text {n}", "part": said} for n, said in enumerate(spellings)]
    found = ingest(write(tmp_path / "a.jsonl", *rows), fill=False, split_column="part")
    assert found.corpus.about.num_documents == {"train": 2, "validation": 4, "test": 1}
    assert found.corpus.about.metadata_columns == []


ROW = {"text": "a", "topic": "x", "name": "n"}


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        (ROW, {"text_column": "body"}, r"no column 'body' \(ingest.text_column\): .* name, text"),
        (ROW, {"label_column": "label"}, "no column 'label' .*name, text, topic"),
        (ROW, {"title_column": "title"}, "no column 'title'"),
        (ROW, {"id_column": "key"}, "no column 'key'"),
        (ROW, {"split_column": "split"}, "no column 'split'"),
        (ROW, {"label_column": "text"}, "cannot be ingest.label_column"),
        (ROW | {"split": "train"}, {}, "'split' has a name .* set ingest.split_column to split"),
        (ROW | {"embedding": [1.0]}, {}, "'embedding' has a name that corpusmith itself writes"),
        (ROW | {"source": "s"}, {}, "'source' has a name .* rename it"),
        (ROW | {"body": "b"}, {"text_column": "body"}, "'text' has a name .*ingest.text_column"),
        (ROW, {"split_column": "topic"}, "must say train, validation or test, but there is 'x'"),
        ({"text": "a"}, {}, "too small for the split: of 1 distinct documents"),
        (ROW | {"s": "test"}, {"split_column": "s"}, "gives no kept document to train"),
    ],
)  # fmt: skip
def test_columns_that_do_not_fit(
    tmp_path: Path, ingest: Any, row: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(CorpusError, match=message) as caught:
        ingest(write(tmp_path / "a.jsonl", row), fill=False, **settings)
    assert "\n" not in str(caught.value)


def test_splits_and_plain_text_do_not_go_together(tmp_path: Path, ingest: Any) -> None:
    path = write(tmp_path / "a.jsonl", ROW | {"s": "test"})
    with pytest.raises(CorpusError, match="documents that are no rows have no column 's'"):
        ingest(path, split_column="s")


def test_a_missing_split_is_named(tmp_path: Path, ingest: Any) -> None:
    path = write(tmp_path / "a.jsonl", ROW | {"s": "test"}, ROW, ROW | {"s": ["dev"]})
    with pytest.raises(CorpusError, match=r"but there is None, \['dev'\], test"):
        ingest(path, split_column="s", fill=False)


def test_splits_of_parquet_are_checked(tmp_path: Path, ingest: Any) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "s": ["dev", "odd"]}), tmp_path / "a.parquet")
    with pytest.raises(CorpusError, match="there is 'odd', validation"):
        ingest(tmp_path, split_column="s", fill=False)


def test_two_columns_of_one_name(tmp_path: Path, ingest: Any) -> None:
    (tmp_path / "a.csv").write_text("text,n,n\na,1,2\n")
    with pytest.raises(CorpusError, match=r"a\.csv has two columns named 'n'"):
        ingest(tmp_path)


def test_free_form_keys_are_no_columns(tmp_path: Path, ingest: Any) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "a"} | {f"key {n}": n for n in range(1001)})
    with pytest.raises(CorpusError, match="more than 1000 columns"):
        ingest(path)


@pytest.mark.parametrize(
    "settings",
    [
        {"validation_frac": 0.5, "test_frac": 0.5},
        {"test_frac": 0},
        {"documents_per_shard": 0},
        {"max_quarantined_frac": 1.1},
        {"text_column": ""},
        {"unheard_of": 1},
    ],
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        IngestConfig(**settings)
