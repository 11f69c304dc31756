"""Finds the lines that stand in many documents, by a pass over all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.ingest.cleaning.boilerplate import LineCounter, frequent_lines
from tasks.ingest.cleaning.cleaner import Cleaner
from tasks.ingest.config import IngestConfig
from tasks.ingest.crew import Crew
from tasks.ingest.groups import Group
from tasks.ingest.places.sources import Source
from tasks.ingest.readers import read_source
from tasks.ingest.reading.records import Record
from tasks.ingest.reading.streams import ignore_progress
from tasks.store.canonical import short_hash
from tasks.store.hashing import sha256_of


@dataclass(frozen=True)
class CountTask:
    """A group whose lines to count."""

    sources: tuple[Source, ...]
    config: IngestConfig
    folder: Path


def find_recurring_lines(
    groups: Sequence[Group], config: IngestConfig, scratch: Path, crew: Crew
) -> tuple[Path | None, str | None]:
    """A file with the hashes of the lines, and a key for it; none where they are not asked for.

    Costs a pass over all files, also those that an earlier corpus has read: a line may have become
    frequent by files that came.
    """
    if config.min_boilerplate_documents is None:
        return None, None
    tasks = [
        CountTask(group.sources, config, scratch / f"lines-{number:05d}")
        for number, group in enumerate(groups)
    ]
    counted = crew.map(count_lines, tasks, name="count-lines")
    found = frequent_lines(counted, config.min_boilerplate_documents)
    path = scratch / "lines.npy"
    np.save(path, found, allow_pickle=False)
    return path, short_hash(sha256_of(path))


def count_lines(task: CountTask, on_bytes: Callable[[int], None] = ignore_progress) -> Path:
    """Count the documents each line of a group stands in; returns where the counts are."""
    task.folder.mkdir(parents=True, exist_ok=True)
    counter = LineCounter(task.folder)
    cleaner = Cleaner(task.config)
    for source in task.sources:
        for _, found in read_source(source, task.config, task.folder, on_bytes):
            text = cleaner.text_of(found) if isinstance(found, Record) else None
            if isinstance(text, str):
                counter.add(text)
    return counter.close()
