"""A part that an interrupted attempt left counts only where every bit is as it was written."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tasks.export import parts
from tasks.export.parts import METADATA_KEY, is_finished, write_part

NUM_ROWS, DIM = 40, 8


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> pa.Table:
    """Rows in several row groups, and in pieces that are none of these."""
    monkeypatch.setattr(parts, "_ROW_GROUP_BYTES", 4 * DIM * 12)
    numbers = np.random.default_rng(0).normal(size=NUM_ROWS * DIM).astype(np.float32)
    schema = pa.schema(
        [
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("n_tokens", pa.int32(), nullable=False),
            pa.field("embedding", pa.list_(pa.float32(), DIM), nullable=False),
            pa.field("tag", pa.string()),
        ],
        {METADATA_KEY: b"{}"},
    )
    columns = [
        pa.array([f"text/{number}" for number in range(NUM_ROWS)]),
        pa.array(range(NUM_ROWS), pa.int32()),
        pa.FixedSizeListArray.from_arrays(pa.array(numbers), DIM),
        pa.array([None if number % 3 else "x" for number in range(NUM_ROWS)]),
    ]
    whole = pa.Table.from_arrays(columns, schema=schema)
    return pa.concat_tables([whole.slice(0, 5), whole.slice(5)])


def test_what_was_written_is_finished_and_no_other_rows_are(
    table: pa.Table, tmp_path: Path
) -> None:
    path = tmp_path / "part.parquet"
    write_part(path, table)
    ids = table["doc_id"].combine_chunks()
    assert is_finished(path, table.schema, ids)
    assert not is_finished(path, table.schema, ids.slice(1))
    assert not is_finished(path, table.schema.with_metadata({METADATA_KEY: b"[]"}), ids)
    assert not is_finished(tmp_path / "none", table.schema, ids)


def test_any_flipped_bit_is_noticed(table: pa.Table, tmp_path: Path) -> None:
    """Half of them where the file says what its pages hold: there Parquet has no checksum."""
    path = tmp_path / "part.parquet"
    write_part(path, table)
    content, chance = path.read_bytes(), random.Random(0)
    ids = table["doc_id"].combine_chunks()
    footer_bytes = int.from_bytes(content[-8:-4], "little")
    places = [chance.randrange(len(content)) for _ in range(300)]
    places += [len(content) - 9 - chance.randrange(footer_bytes) for _ in range(300)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        assert not is_finished(path, table.schema, ids), place
