"""Writes one part of the row table into the artifact: kept documents, withheld ones, the rows."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.corpus import SPLITS
from tasks.ingest.decide import DUPLICATE, KEPT, REASONS, STATUSES
from tasks.ingest.parts import IN_DOCUMENTS, IN_WITHHELD, NOWHERE, Part
from tasks.ingest.reading.records import PREVIEW_BYTES, Reason
from tasks.ingest.row_builder import escape
from tasks.ingest.rows import BYTES_PER_BATCH, ROWS_PER_BATCH, rechunked

_DOCUMENT_FIELDS = (
    pa.field("doc_id", pa.string(), nullable=False),
    pa.field("text", pa.string(), nullable=False),
    pa.field("content_sha256", pa.binary(32), nullable=False),
    pa.field("source", pa.string(), nullable=False),
    pa.field("split", pa.string(), nullable=False),
)
_VERDICT_FIELDS = (
    pa.field("status", pa.string(), nullable=False),
    pa.field("decision", pa.string()),  # why a candidate is not kept
    pa.field("kept_doc_id", pa.string()),
    pa.field("split", pa.string()),
    pa.field("place", pa.int8(), nullable=False),  # see `parts`
)
_REPEATING = ["file", "source", "reason", "status", "decision", "split", "place", "given_split"]
_METADATA = "metadata."
_PREVIEWED = [
    REASONS.index(reason.value) for reason in (Reason.DUPLICATE_ID, Reason.BEYOND_TRAIN_FRAC)
]
_OWN_NAMES = frozenset(field.name for field in _DOCUMENT_FIELDS)

Codes = np.ndarray[Any, np.dtype[np.int8]]


@dataclass(frozen=True)
class Verdicts:
    """What was decided about the rows of a part; codes as in `Decisions`.

    Attributes:
        kept_ids: of the part's duplicates, by row, the id of the document kept.
    """

    status: Codes
    reason: Codes
    split: Codes
    kept_ids: dict[int, str]

    @property
    def places(self) -> Codes:
        """Where each row's text goes."""
        is_kept = self.status == STATUSES.index(KEPT)
        is_candidate = (self.status <= STATUSES.index(DUPLICATE)) | (self.reason > 0)
        return np.where(is_kept, IN_DOCUMENTS, np.where(is_candidate, IN_WITHHELD, NOWHERE)).astype(
            np.int8
        )


@dataclass(frozen=True)
class ShardTask:
    """One part to write.

    Attributes:
        schema: of the row table.
        documents, withheld, rows: files to write; None where nothing goes there.
        same_texts: a committed part with these documents and withheld texts, to be copied.
        same_rows: a committed part with these rows too.
    """

    part: Part
    verdicts: Verdicts
    schema: pa.Schema
    rows: Path
    documents: Path | None
    withheld: Path | None
    same_texts: Part | None = None
    same_rows: Part | None = None


def write_shard(task: ShardTask) -> None:
    """Write the files of a part, or copy those that an earlier artifact has already."""
    pairs = _copies(task)
    for source, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    done = {target for _, target in pairs}
    writers = {
        path: _open_table(path, schema)
        for path, schema in _targets(task).items()
        if path is not None and path not in done
    }
    try:
        if writers:
            _fill(task, writers)
    finally:
        for writer in writers.values():
            writer.close()


def _copies(task: ShardTask) -> list[tuple[Path, Path]]:
    pairs: list[tuple[Path | None, Path | None]] = []
    if task.same_texts:
        pairs += [
            (task.same_texts.documents, task.documents),
            (task.same_texts.withheld, task.withheld),
        ]
    if task.same_rows:
        pairs.append((task.same_rows.rows, task.rows))
    return [(source, target) for source, target in pairs if source and target]


def _targets(task: ShardTask) -> dict[Path | None, pa.Schema]:
    metadata = [
        pa.field(field.name.removeprefix(_METADATA), field.type)
        for field in task.schema
        if field.name.startswith(_METADATA)
    ]
    light = [
        field
        for field in task.schema
        if field.name != "text" and not field.name.startswith(_METADATA)
    ]
    return {
        task.documents: pa.schema([*_DOCUMENT_FIELDS, *metadata]),
        task.withheld: pa.schema([pa.field("text", pa.string(), nullable=False), *metadata]),
        task.rows: pa.schema([*light, *_VERDICT_FIELDS]),
    }


def _open_table(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_rows = "text" not in schema.names
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        write_page_checksum=True,
        use_dictionary=_REPEATING if is_rows else True,
        store_schema=True,
    )


def _fill(task: ShardTask, writers: dict[Path, pq.ParquetWriter]) -> None:
    places = task.verdicts.places
    start = 0
    for batch in rechunked(task.part.batches(task.schema), ROWS_PER_BATCH, BYTES_PER_BATCH):
        rows = slice(start, start + batch.num_rows)
        judged = _judged(batch, task.verdicts, places, rows)
        for path, writer in writers.items():
            wanted = {task.documents: IN_DOCUMENTS, task.withheld: IN_WITHHELD}.get(path)
            table = judged if wanted is None else judged.filter(pc.field("place") == wanted)
            if table.num_rows:
                writer.write_table(_fit(table, writer.schema))
        start = rows.stop


def _judged(batch: pa.RecordBatch, verdicts: Verdicts, places: Codes, rows: slice) -> pa.Table:
    """The batch with its verdicts."""
    statuses = np.array(STATUSES, dtype=object)[verdicts.status[rows]]
    splits = np.array([*SPLITS, None], dtype=object)[verdicts.split[rows]]
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns["status"] = pa.array(statuses, pa.string())
    columns["decision"] = pa.array([REASONS[code] for code in verdicts.reason[rows]], pa.string())
    columns["kept_doc_id"] = _kept_ids(batch, verdicts, rows)
    columns["split"] = pa.array(splits, pa.string())
    columns["place"] = pa.array(places[rows])
    columns["preview"] = _previews(batch, verdicts, rows)
    return pa.table(columns)


def _fit(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table's columns for a file; the user's metadata lose their prefix there."""
    is_rows = "text" not in schema.names
    names = [name if is_rows or name in _OWN_NAMES else _METADATA + name for name in schema.names]
    return table.select(names).rename_columns(schema.names).cast(schema)


def _kept_ids(batch: pa.RecordBatch, verdicts: Verdicts, rows: slice) -> pa.Array:
    ids = batch["doc_id"].to_pylist()
    status = verdicts.status[rows]
    return pa.array(
        [
            doc_id if code == 0 else verdicts.kept_ids.get(rows.start + place)
            for place, (doc_id, code) in enumerate(zip(ids, status, strict=True))
        ],
        pa.string(),
    )


def _previews(batch: pa.RecordBatch, verdicts: Verdicts, rows: slice) -> pa.Array:
    """The rows' previews; of candidates refused or dropped later, the start of the text."""
    refused = np.flatnonzero(np.isin(verdicts.reason[rows], _PREVIEWED))
    if not len(refused):
        return batch["preview"]
    previews = batch["preview"].to_pylist()
    for place in refused:
        text = batch["text"][int(place)].as_py()
        previews[place] = escape(text[:PREVIEW_BYTES].encode("utf-8")[:PREVIEW_BYTES])
    return pa.array(previews, pa.string())


def iter_rows(paths: list[Path], names: list[str]) -> Iterator[pa.RecordBatch]:
    """Columns of written rows, part by part."""
    for path in paths:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(2**14, columns=names)
