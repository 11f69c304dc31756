"""The tidy table of measures: one row a number, with its interval."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from model.intervals import Interval

LAYERS, HEADS = "layers.parquet", "heads.parquet"
SCHEMA = pa.schema(
    [
        ("measure", pa.string()),
        ("layer", pa.int32()),
        ("head", pa.int32()),
        ("seed", pa.int32()),
        ("split", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured number.

    Attributes:
        measure: its name; ``random_`` before it: the same of an encoder with random weights;
            ``control_``: the same with shuffled labels.
        layer: 0 = the embeddings, k = the output of layer k.
        head: the attention head, from 0; None where the measure is of a layer.
        seed: None where the number is over all seeds, or no seed matters.
        split: the corpus split that the number was taken on.
        value: the estimate.
        low: lower bound of its 95 % interval.
        high: upper bound.
    """

    measure: str
    layer: int
    head: int | None = None
    seed: int | None = None
    split: str
    value: float
    low: float
    high: float


def row_of_interval(
    interval: Interval,
    *,
    measure: str,
    layer: int,
    split: str,
    seed: int | None = None,
    head: int | None = None,
) -> Row:
    """The row of a scalar interval."""
    return Row(
        measure=measure,
        layer=layer,
        head=head,
        seed=seed,
        split=split,
        value=float(interval.value),
        low=float(interval.low),
        high=float(interval.high),
    )


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """The rows as Parquet, in order, with page checksums."""
    table = pa.Table.from_pylist([vars(row) for row in rows], schema=SCHEMA)
    pq.write_table(table, path, write_page_checksum=True)


def select(
    rows: Sequence[Row], measure: str, *, split: str | None = None, seed: int | None = None
) -> list[Row]:
    """The rows of one measure by layer and head; those over all seeds unless one is named."""
    found = [
        row
        for row in rows
        if row.measure == measure and row.seed == seed and split in (None, row.split)
    ]
    return sorted(found, key=lambda row: (row.layer, row.head or 0))
