"""Reads the files of one group into parts of the row table; takes over what was read before."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.ingest.cleaning.cleaner import NO_LINES, Cleaner, Dropped
from tasks.ingest.config import IngestConfig
from tasks.ingest.parts import Part, PartWriter, part_path
from tasks.ingest.places.sources import Source
from tasks.ingest.prior import rows_of_file
from tasks.ingest.readers import read_source
from tasks.ingest.reading.records import (
    PREVIEW_BYTES,
    Reason,
    Record,
    Refusal,
    document_name,
)
from tasks.ingest.reading.streams import ignore_progress
from tasks.ingest.row_builder import RowBuilder
from tasks.ingest.rows import row_schema
from tasks.store.atomic import fsync_file, make_folder, write_atomic
from tasks.store.hashing import of_each, sha256_of
from tasks.tombstones import NO_TOMBSTONES, Tombstones

_DONE_NAME = "done.json"

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class ReadTask:
    """One group to read.

    Attributes:
        key: of everything that decides what its rows are.
        metadata: types of the user's columns.
        folder: where the parts go.
        frequent_lines: a file with the hashes of lines to remove, if any.
        read_before: by name of file, the committed parts that hold its rows.
        erased: what must not be taken in again.
    """

    key: str
    sources: tuple[Source, ...]
    config: IngestConfig
    metadata: dict[str, pa.DataType]
    folder: Path
    frequent_lines: Path | None
    read_before: dict[str, list[Part]]
    erased: Tombstones = NO_TOMBSTONES


@dataclass(frozen=True)
class GroupRows:
    """The rows of a group.

    Attributes:
        counts: what cleaning did, by name of file.
    """

    parts: list[Part]
    counts: Counts


def read_group(task: ReadTask, on_bytes: Callable[[int], None] = ignore_progress) -> GroupRows:
    """Read a group's files, or find that an earlier attempt has done so and nothing was damaged.

    Costs, where one has, a read of its parts.
    """
    done = task.folder / _DONE_NAME
    values = _read_before(done) or _read(task, done, on_bytes)
    parts = [
        Part(num_rows, part_path(task.folder, number))
        for number, num_rows in enumerate(values["sizes"])
    ]
    return GroupRows(parts, values["counts"])


def _read_before(done: Path) -> dict[str, Any] | None:
    """What an earlier attempt noted of a group, if its parts are as they were; rows have no
    checksums of their own."""
    if not done.exists():
        return None
    try:
        noted, digest = done.read_bytes().split(b"\n")
        if hashlib.sha256(noted).hexdigest().encode() != digest:
            return None
        values: dict[str, Any] = json.loads(noted)
        parts = [part_path(done.parent, number) for number in range(len(values["sizes"]))]
        return values if of_each(sha256_of, parts) == values["sha256"] else None
    except (OSError, ValueError):
        return None


def _read(task: ReadTask, done: Path, on_bytes: Callable[[int], None]) -> dict[str, Any]:
    make_folder(task.folder)
    schema = row_schema(task.config.near_duplicate_threshold, task.metadata)
    counts: Counts = {}
    writer = PartWriter(task.folder, schema)
    writer.write(_batches(task, schema, counts, on_bytes), task.config.documents_per_shard)
    writer.close()
    parts = [part_path(task.folder, number) for number in range(len(writer.sizes))]
    for part in parts:
        fsync_file(part)
    digests = of_each(sha256_of, parts)
    values: dict[str, Any] = {"sizes": writer.sizes, "counts": counts, "sha256": digests}
    noted = json.dumps(values).encode("utf-8")
    write_atomic(done, noted + b"\n" + hashlib.sha256(noted).hexdigest().encode())
    return values


def _batches(
    task: ReadTask, schema: pa.Schema, counts: Counts, on_bytes: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    builder = RowBuilder(task.config.near_duplicate_threshold, task.metadata)
    lines = np.load(task.frequent_lines) if task.frequent_lines else NO_LINES
    for source in task.sources:
        before = task.read_before.get(source.name)
        if before is None:
            cleaner = Cleaner(task.config, lines)
            for _ in _take_in(source, cleaner, builder, task, on_bytes):
                if builder.is_full:
                    yield from _waiting(builder)
            counts[source.name] = {name: n for name, n in cleaner.counts.items() if n}
        else:
            yield from _waiting(builder)
            yield from rows_of_file(before, source.name, schema)
    yield from _waiting(builder)


def _waiting(builder: RowBuilder) -> Iterator[pa.RecordBatch]:
    batch = builder.take()
    if batch is not None:
        yield batch


def _take_in(
    source: Source,
    cleaner: Cleaner,
    builder: RowBuilder,
    task: ReadTask,
    on_bytes: Callable[[int], None],
) -> Iterator[None]:
    """Enter all that is found in a file, pausing after each; of nothing, that it is empty."""
    is_empty = True
    for leaf, found in read_source(source, task.config, task.folder, on_bytes):
        is_empty = False
        if isinstance(found, Refusal):
            doc_id = document_name(leaf, found.number)
            builder.refuse(source.name, leaf, doc_id, _unless_erased(found, doc_id, task.erased))
        else:
            _judge(source.name, leaf, found, cleaner, builder, task.erased)
        yield
    if is_empty:
        builder.refuse(source.name, source.name, source.name, Refusal(None, Reason.EMPTY))


def _judge(
    file: str,
    leaf: str,
    record: Record,
    cleaner: Cleaner,
    builder: RowBuilder,
    erased: Tombstones,
) -> None:
    doc_id, candidate = cleaner.judge(record, leaf)
    if erased.cover(doc_id, candidate.content_sha256):
        candidate = Dropped(Reason.ERASED)
    if isinstance(candidate, Dropped):
        preview = record.preview or _start(record.text or "")
        reason = candidate.reason
        refusal = Refusal(record.number, reason, record.byte_offset, preview, record.num_bytes)
        builder.refuse(file, leaf, doc_id, _unless_erased(refusal, doc_id, erased))
    else:
        builder.add(file, leaf, record, candidate)


def _unless_erased(refusal: Refusal, doc_id: str, erased: Tombstones) -> Refusal:
    """The refusal; of what was erased nothing is quoted."""
    if refusal.reason != Reason.ERASED and not erased.cover(doc_id):
        return refusal
    return replace(refusal, reason=Reason.ERASED, preview=b"")


def _start(text: str) -> bytes:
    return text[:PREVIEW_BYTES].encode("utf-8", "replace")[:PREVIEW_BYTES]
