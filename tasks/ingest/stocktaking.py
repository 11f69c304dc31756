"""Knows each source file's columns: from an earlier corpus, else by a first pass over it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.ingest.config import IngestConfig
from tasks.ingest.crew import Crew
from tasks.ingest.facts import Facts
from tasks.ingest.groups import Group
from tasks.ingest.places.sources import Source
from tasks.ingest.prior import Prior
from tasks.ingest.reading.streams import ignore_progress
from tasks.ingest.survey import survey_source


@dataclass(frozen=True)
class SurveyTask:
    """Files to look at."""

    sources: tuple[Source, ...]
    config: IngestConfig
    scratch: Path


def survey_files(
    task: SurveyTask, on_bytes: Callable[[int], None] = ignore_progress
) -> dict[str, Facts]:
    """What is known of each file, by name.

    Raises:
        CorpusError: too many columns, or two of one name in a file.
    """
    return {
        source.name: survey_source(source, task.config, task.scratch, on_bytes)
        for source in task.sources
    }


def take_stock(
    groups: Sequence[Group], prior: Prior, config: IngestConfig, scratch: Path, crew: Crew
) -> dict[str, Facts]:
    """What is known of each file, by name, in corpus order."""
    known = {
        source.name: prior.files[source.name].facts
        for group in groups
        for source in group.sources
        if is_known(source, prior)
    }
    unknown = [
        tuple(source for source in group.sources if source.name not in known) for group in groups
    ]
    tasks = [SurveyTask(sources, config, scratch) for sources in unknown if sources]
    for found in crew.map(survey_files, tasks, name="survey", num_bytes=_num_bytes):
        known |= found
    return {source.name: known[source.name] for group in groups for source in group.sources}


def is_known(source: Source, prior: Prior) -> bool:
    """Whether an earlier corpus holds the very same file."""
    before = prior.files.get(source.name)
    return before is not None and before.sha256 == source.sha256


def _num_bytes(task: SurveyTask) -> int:
    return sum(source.num_bytes for source in task.sources)
