"""Gives every group of files its parts of the row table, reading only what is not known yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.ingest.columns import Columns
from tasks.ingest.config import IngestConfig
from tasks.ingest.crew import Crew
from tasks.ingest.facts import Facts
from tasks.ingest.group_reading import GroupRows, ReadTask, read_group
from tasks.ingest.groups import Group
from tasks.ingest.parts import Part
from tasks.ingest.places.sources import UNREADABLE
from tasks.ingest.prior import Prior, PriorPart
from tasks.store.canonical import short_hash
from tasks.tombstones import NO_TOMBSTONES, Tombstones

# Settings that come into play only once all is read.
_LATER = {
    *("validation_frac", "test_frac", "train_frac", "seed"),
    *("max_quarantined_frac", "label_column", "title_column"),
}


@dataclass(frozen=True)
class ReadGroup:
    """A group whose rows are there.

    Attributes:
        key: of everything that decided what its rows are.
        file_keys, counts: the same for each file, and what cleaning did in it; by name.
        before: its parts in an earlier corpus, where these are the rows.
    """

    group: Group
    key: str
    file_keys: Mapping[str, str]
    parts: Sequence[Part]
    counts: Mapping[str, Mapping[str, int]]
    before: Sequence[PriorPart] = field(default_factory=tuple)


@dataclass(frozen=True)
class Reading:
    """What decides how files are read.

    Attributes:
        carried: files that cannot be read now, and stand as they were in an earlier corpus.
        erased: what must not be taken in again.
        frequent_lines: a file with the hashes of lines to remove, and what stands for it in keys.
    """

    config: IngestConfig
    columns: Columns
    facts: Mapping[str, Facts]
    carried: frozenset[str] = frozenset()
    erased: Tombstones = NO_TOMBSTONES
    frequent_lines: Path | None = None
    frequent_lines_key: str | None = None

    def file_keys(self, group: Group) -> dict[str, str]:
        """By name of file, a key of everything that decides what its rows are."""
        settings = {
            name: value for name, value in self.config.identity().items() if name not in _LATER
        }
        about = short_hash([settings, self.frequent_lines_key])
        return {
            source.name: short_hash([about, source.name, source.sha256, self._types(source.name)])
            for source in group.sources
        }

    def _types(self, file: str) -> dict[str, str]:
        metadata = self.columns.metadata
        return {name: str(metadata[name]) for name in self.facts[file].metadata}


def read_groups(
    groups: Sequence[Group], reading: Reading, prior: Prior, scratch: Path, crew: Crew
) -> list[ReadGroup]:
    """The rows of every group; of those that an earlier corpus has whole, that corpus's."""
    groups = [_without_stale(group, reading, prior) for group in groups]
    file_keys = [reading.file_keys(group) for group in groups]
    keys = [short_hash(list(found.values())) for found in file_keys]
    tasks = {
        key: _task(group, key, found, reading, prior, scratch)
        for group, key, found in zip(groups, keys, file_keys, strict=True)
        if key not in prior.groups
    }
    results = crew.map(read_group, list(tasks.values()), name="read", num_bytes=_num_bytes)
    rows = dict(zip(tasks, results, strict=True))
    return [
        _finished(group, key, found, rows.get(key), prior)
        for group, key, found in zip(groups, keys, file_keys, strict=True)
    ]


def _without_stale(group: Group, reading: Reading, prior: Prior) -> Group:
    """The group, its files that cannot be read marked so where their old rows do not serve."""
    keys = reading.file_keys(group)
    sources = (
        replace(source, sha256=UNREADABLE)
        if source.name in reading.carried and prior.files[source.name].key != keys[source.name]
        else source
        for source in group.sources
    )
    return Group(tuple(sources))


def _task(
    group: Group,
    key: str,
    file_keys: Mapping[str, str],
    reading: Reading,
    prior: Prior,
    scratch: Path,
) -> ReadTask:
    known = [
        name
        for name, own in file_keys.items()
        if name in prior.files and prior.files[name].key == own
    ]
    return ReadTask(
        key=key,
        sources=group.sources,
        config=reading.config,
        metadata=reading.columns.metadata,
        folder=scratch / key,
        frequent_lines=reading.frequent_lines,
        read_before={name: prior.parts_by_file[name] for name in known},
        erased=reading.erased,
    )


def _finished(
    group: Group,
    key: str,
    file_keys: Mapping[str, str],
    rows: GroupRows | None,
    prior: Prior,
) -> ReadGroup:
    taken_over = {name: prior.files[name].counts for name in file_keys if name in prior.files}
    if rows is None:
        before = prior.groups[key].parts
        return ReadGroup(group, key, file_keys, [p.part for p in before], taken_over, before)
    return ReadGroup(group, key, file_keys, rows.parts, {**taken_over, **rows.counts})


def _num_bytes(task: ReadTask) -> int:
    unread = [source for source in task.sources if source.name not in task.read_before]
    return sum(source.num_bytes for source in unread)
