"""The course of a run as a table."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CURVES_FILE = "curves.parquet"
SCHEMA = pa.schema([("step", pa.int64()), ("metric", pa.string()), ("value", pa.float64())])


def write_curves(curve: Sequence[tuple[int, str, float]], folder: Path) -> None:
    """Writes `curves.parquet`: ``step, metric, value``, in the order of reporting."""
    steps, metrics, values = zip(*curve, strict=True) if curve else ((), (), ())
    table = pa.table([pa.array(steps), pa.array(metrics), pa.array(values)], schema=SCHEMA)
    pq.write_table(table, folder / CURVES_FILE, write_page_checksum=True)
