"""What an earlier corpus, made with the same settings, has already read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.errors import ArtifactError
from tasks.ingest.facts import Facts
from tasks.ingest.parts import Part

READING_NAME, FILES_NAME = "reading.json", "files.parquet"
READING_FORMAT = 1


@dataclass(frozen=True)
class PriorFile:
    """A source file as it was read then.

    Attributes:
        key: of everything that decided what its rows are.
        counts: what cleaning removed, mended or masked in it.
    """

    sha256: str
    key: str
    facts: Facts
    counts: Mapping[str, int]


@dataclass(frozen=True)
class PriorPart:
    """A part of a group, and the keys of what its files hold."""

    part: Part
    texts_key: str
    rows_key: str


@dataclass(frozen=True)
class PriorGroup:
    """The files of a group and its parts."""

    files: tuple[str, ...]
    parts: tuple[PriorPart, ...]


@dataclass
class Prior:
    """An earlier corpus; empty where there is none.

    Attributes:
        files: by name.
        groups: by key.
        rows: the files with the rows of its parts, in order.
    """

    files: dict[str, PriorFile] = field(default_factory=dict)
    groups: dict[str, PriorGroup] = field(default_factory=dict)
    rows: list[Path] = field(default_factory=list)

    @cached_property
    def parts_by_file(self) -> dict[str, list[Part]]:
        """The parts that hold a file's rows, by its name."""
        return {
            file: [prior.part for prior in group.parts]
            for group in self.groups.values()
            for file in group.files
        }


def open_prior(folder: Path | None) -> Prior:
    """What is known of the corpus in `folder`, a verified artifact; nothing where it is None.

    Raises:
        ArtifactError: a file of it is missing or damaged.
    """
    if folder is None:
        return Prior()
    try:
        reading = json.loads((folder / READING_NAME).read_text("utf-8"))
        if reading["format"] != READING_FORMAT:
            return Prior()
        groups = {entry["key"]: _group(entry, folder) for entry in reading["groups"]}
        rows = [folder / part["rows"] for entry in reading["groups"] for part in entry["parts"]]
        return Prior(_files(folder / FILES_NAME), groups, rows)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise ArtifactError(
            f"{folder} is not a corpus that can be built on ({error}): delete it and run ingest"
        ) from None


def rows_of_file(parts: Sequence[Part], file: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of one file, from the parts that hold it."""
    for part in parts:
        for batch in part.batches(schema):
            mine = batch.filter(pc.equal(batch["file"], file))
            if mine.num_rows:
                yield mine


def _group(entry: Mapping[str, Any], folder: Path) -> PriorGroup:
    return PriorGroup(tuple(entry["files"]), tuple(_part(part, folder) for part in entry["parts"]))


def _part(entry: Mapping[str, Any], folder: Path) -> PriorPart:
    documents, withheld = (
        folder / entry[name] if entry[name] else None for name in ("documents", "withheld")
    )
    part = Part(entry["num_rows"], folder / entry["rows"], True, documents, withheld)
    return PriorPart(part, entry["texts_key"], entry["rows_key"])


def _files(path: Path) -> dict[str, PriorFile]:
    columns = ["name", "sha256", "key", "facts", "counts"]
    table = pq.read_table(path, columns=columns, page_checksum_verification=True)
    return {
        row["name"]: PriorFile(
            row["sha256"],
            row["key"],
            Facts.from_json(json.loads(row["facts"])),
            json.loads(row["counts"]),
        )
        for row in table.to_pylist()
    }
