"""Writes all parts of the row table into the artifact, under names in corpus order."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.ingest.config import IngestConfig
from tasks.ingest.crew import Crew
from tasks.ingest.decide import DUPLICATE, STATUSES, Decisions
from tasks.ingest.parts import IN_DOCUMENTS, IN_WITHHELD, Part
from tasks.ingest.prior import PriorPart
from tasks.ingest.reading_plan import ReadGroup
from tasks.ingest.rows import row_schema
from tasks.ingest.shards import ShardTask, Verdicts, write_shard
from tasks.store.canonical import short_hash


@dataclass(frozen=True)
class WrittenPart:
    """A part of the artifact; names of its files below the artifact's folder.

    Attributes:
        texts_key, rows_key: of all that decides the texts' files, and the rows' file.
    """

    num_rows: int
    num_kept: int
    rows: str
    documents: str | None
    withheld: str | None
    texts_key: str
    rows_key: str


def write_parts(
    groups: Sequence[ReadGroup],
    decisions: Decisions,
    metadata: dict[str, pa.DataType],
    config: IngestConfig,
    output: Path,
    crew: Crew,
) -> list[list[WrittenPart]]:
    """Write, or copy from an earlier artifact where nothing changed; by group, its parts."""
    schema = row_schema(config.near_duplicate_threshold, metadata)
    parts = [(group, number) for group in groups for number in range(len(group.parts))]
    verdicts = list(_verdicts([group.parts[number] for group, number in parts], decisions))
    names = _names([one.places for one in verdicts])
    tasks, written = [], []
    for (group, number), one, (documents, withheld, rows) in zip(
        parts, verdicts, names, strict=True
    ):
        part = _described(group, number, one, schema, (rows, documents, withheld))
        written.append(part)
        tasks.append(_task(group, number, one, schema, part, output))
    crew.map(write_shard, tasks, name="write")
    ends = np.cumsum([len(group.parts) for group in groups])
    return [written[end - len(g.parts) : end] for g, end in zip(groups, ends, strict=True)]


def _verdicts(parts: Sequence[Part], decisions: Decisions) -> Iterator[Verdicts]:
    kept_ids = _kept_ids(parts, decisions)
    start = 0
    for part in parts:
        rows = slice(start, start + part.num_rows)
        kept_rows = decisions.kept_row[rows]
        ids = {
            int(place): kept_ids[int(kept_rows[place])] for place in np.flatnonzero(kept_rows >= 0)
        }
        yield Verdicts(decisions.status[rows], decisions.reason[rows], decisions.split[rows], ids)
        start = rows.stop


def _kept_ids(parts: Sequence[Part], decisions: Decisions) -> dict[int, str]:
    """The ids of those kept rows that have duplicates, by row."""
    wanted = np.unique(decisions.kept_row[decisions.status == STATUSES.index(DUPLICATE)])
    found: dict[int, str] = {}
    start = 0
    for batch in (batch for part in parts for batch in part.light(["doc_id"])):
        low, high = np.searchsorted(wanted, [start, start + batch.num_rows])
        for row in wanted[low:high]:
            found[int(row)] = batch["doc_id"][int(row) - start].as_py()
        start += batch.num_rows
    return found


def _names(places: Iterable[Any]) -> Iterator[tuple[str | None, str | None, str]]:
    """Files of each part: documents and withheld where there are any, numbered apart; rows."""
    num_documents = 0
    for number, found in enumerate(places):
        documents = withheld = None
        if (found == IN_DOCUMENTS).any():
            documents = f"documents/shard-{num_documents:05d}.parquet"
            num_documents += 1
        if (found == IN_WITHHELD).any():
            withheld = f"withheld/part-{number:05d}.parquet"
        yield documents, withheld, f"rows/part-{number:05d}.parquet"


def _described(
    group: ReadGroup,
    number: int,
    verdicts: Verdicts,
    schema: pa.Schema,
    names: tuple[str, str | None, str | None],
) -> WrittenPart:
    places = verdicts.places
    kept_splits = verdicts.split[places == IN_DOCUMENTS]
    shape = [str(field) for field in schema]
    texts_key = short_hash([group.key, number, shape, _hash(places), _hash(kept_splits)])
    judged = [_hash(verdicts.status), _hash(verdicts.reason), _hash(verdicts.split)]
    rows_key = short_hash([group.key, number, judged, sorted(verdicts.kept_ids.items())])
    num_kept = int((places == IN_DOCUMENTS).sum())
    return WrittenPart(len(places), num_kept, *names, texts_key, rows_key)


def _hash(codes: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(codes).tobytes()).hexdigest()


def _task(
    group: ReadGroup,
    number: int,
    verdicts: Verdicts,
    schema: pa.Schema,
    part: WrittenPart,
    output: Path,
) -> ShardTask:
    before: PriorPart | None = group.before[number] if group.before else None
    return ShardTask(
        part=group.parts[number],
        verdicts=verdicts,
        schema=schema,
        rows=output / part.rows,
        documents=output / part.documents if part.documents else None,
        withheld=output / part.withheld if part.withheld else None,
        same_texts=before.part if before and before.texts_key == part.texts_key else None,
        same_rows=before.part if before and before.rows_key == part.rows_key else None,
    )
