"""Writes down, for people and for the next ingest, which file gave what: ``files.parquet`` for the
files, ``reading.json`` for the groups they were read in."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.ingest.decide import DROPPED, DUPLICATE, KEPT, QUARANTINED
from tasks.ingest.facts import Facts
from tasks.ingest.prior import FILES_NAME, READING_FORMAT, READING_NAME
from tasks.ingest.reading_plan import ReadGroup
from tasks.ingest.writing_plan import WrittenPart

FILES_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("sha256", pa.string()),
        ("num_bytes", pa.int64()),
        ("num_read", pa.int64()),
        ("num_kept", pa.int64()),
        ("num_duplicate", pa.int64()),
        ("num_dropped", pa.int64()),
        ("num_quarantined", pa.int64()),
        ("reasons", pa.string()),  # JSON: how many by reason
        ("counts", pa.string()),  # JSON: what cleaning did
        ("carried_over", pa.bool_()),  # could not be read this time: its documents are older
        ("key", pa.string()),
        ("facts", pa.string()),
    ]
)


def write_reading(
    groups: Sequence[ReadGroup], parts: Sequence[Sequence[WrittenPart]], folder: Path
) -> None:
    """Write ``reading.json``."""
    entries = [
        {
            "key": group.key,
            "files": [source.name for source in group.group.sources],
            "parts": [asdict(part) for part in written],
        }
        for group, written in zip(groups, parts, strict=True)
    ]
    text = json.dumps({"format": READING_FORMAT, "groups": entries}, ensure_ascii=False)
    (folder / READING_NAME).write_text(text + "\n", "utf-8")


def write_files(
    groups: Sequence[ReadGroup],
    facts: Mapping[str, Facts],
    accounts: Mapping[str, Counter[str]],
    carried_over: Iterable[str],
    folder: Path,
) -> None:
    """Write ``files.parquet``: read = kept + duplicate + dropped + quarantined in each row."""
    carried = set(carried_over)
    rows = [
        {
            "name": source.name,
            "sha256": source.sha256,
            "num_bytes": source.num_bytes,
            **file_counts(accounts[source.name]),
            "counts": json.dumps(dict(sorted(group.counts.get(source.name, {}).items()))),
            "carried_over": source.name in carried,
            "key": group.file_keys[source.name],
            "facts": json.dumps(facts[source.name].to_json()),
        }
        for group in groups
        for source in group.group.sources
    ]
    table = pa.Table.from_pylist(rows, FILES_SCHEMA)
    pq.write_table(table, folder / FILES_NAME, compression="zstd", write_page_checksum=True)


def file_counts(found: Counter[str]) -> dict[str, Any]:
    """Of one file, how many documents were read and of each status, and reasons."""
    statuses = {status: found[status] for status in (KEPT, DUPLICATE, DROPPED, QUARANTINED)}
    reasons = {
        name.removeprefix("reason "): number
        for name, number in sorted(found.items())
        if name.startswith("reason ")
    }
    return {
        "num_read": sum(statuses.values()),
        "num_kept": statuses[KEPT],
        "num_duplicate": statuses[DUPLICATE],
        "num_dropped": statuses[DROPPED],
        "num_quarantined": statuses[QUARANTINED],
        "reasons": json.dumps(reasons),
    }
