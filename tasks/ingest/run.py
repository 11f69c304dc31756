"""The ingest stage: survey the files, read them, decide what is kept, write it, account for all."""

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.ingest.accounts.bookkeeping import write_files, write_reading
from tasks.ingest.accounts.changes import changes_since
from tasks.ingest.accounts.ledger import Accounts, write_ledger
from tasks.ingest.accounts.outcome import check_outcome, metrics, summary
from tasks.ingest.accounts.report import file_rows, report_page
from tasks.ingest.columns import Columns, assign_columns
from tasks.ingest.config import IngestConfig
from tasks.ingest.crew import Crew
from tasks.ingest.decide import decide
from tasks.ingest.facts import Facts, merged
from tasks.ingest.groups import grouped
from tasks.ingest.places.sources import UNREADABLE, Source, check_unchanged, list_sources
from tasks.ingest.prior import Prior, open_prior
from tasks.ingest.progress import ByteProgress
from tasks.ingest.reading_plan import ReadGroup, Reading, read_groups
from tasks.ingest.recurring import find_recurring_lines
from tasks.ingest.stocktaking import take_stock
from tasks.ingest.workers import Workers, choose_num_workers
from tasks.ingest.writing_plan import WrittenPart, write_parts
from tasks.stage import Metrics, StageContext
from tasks.store.atomic import make_folder
from tasks.store.staging import SCRATCH


@dataclass(frozen=True)
class _Result:
    groups: Sequence[ReadGroup]
    parts: Sequence[Sequence[WrittenPart]]
    facts: dict[str, Facts]
    columns: Columns

    @property
    def sources(self) -> Iterator[Source]:
        return (source for group in self.groups for source in group.group.sources)


def run(context: StageContext) -> Metrics:
    """Make a corpus of the files that the config names.

    Two passes over tables, one for the columns and one for the documents; one over all else. What
    an earlier corpus with the same settings holds of unchanged files is taken from there.

    Raises:
        RequestError: a path that leads to no readable file.
        CorpusError: columns that do not fit the settings, or a corpus that cannot serve.
        SourceChangedError: a file changed meanwhile.
    """
    config, output = context.config, context.output
    assert isinstance(config, IngestConfig)
    _clear(output)
    sources = list_sources(config)
    num_source_bytes = sum(source.num_bytes for source in sources)
    context.need_room(_share_written(config) * num_source_bytes)
    prior = open_prior(context.earlier())
    before = _carried_over(sources, prior)
    progress = ByteProgress(context.report, 2 * num_source_bytes)
    try:
        num_workers = choose_num_workers(config.num_workers, num_source_bytes)
        with Workers(1 if context.remote else num_workers) as workers:
            crew = Crew(workers, context.map_shards, progress, context.remote)
            result = _make(sources, before, prior, context, crew)
    except Exception:  # whatever went wrong, a file that changed meanwhile explains it better
        check_unchanged(sources)
        raise
    check_unchanged(sources)
    carried = [source.name for source in result.sources if source in before.values()]
    for name in carried:
        context.report.warning(f"{name} cannot be read: its documents are those of the last time")
    accounts = _account(result, config, carried, output)
    progress.close()
    context.report.table("files", file_rows(accounts))
    found = metrics(accounts, len(sources), num_source_bytes)
    return found | _changes(prior, result, output)


def _share_written(config: IngestConfig) -> float:
    """Of the sources' bytes, at least: the user's files may be pages of markup, and of Python's
    only the documentation is read."""
    return 0.5 if config.paths else 0.25


def _carried_over(sources: Sequence[Source], prior: Prior) -> dict[str, Source]:
    """Files that cannot be read now but could before, as they were then."""
    return {
        source.name: replace(source, sha256=prior.files[source.name].sha256)
        for source in sources
        if source.sha256 == UNREADABLE
        and source.name in prior.files
        and prior.files[source.name].sha256 != UNREADABLE
    }


def _make(
    sources: Sequence[Source],
    carried: Mapping[str, Source],
    prior: Prior,
    context: StageContext,
    crew: Crew,
) -> _Result:
    config, output = context.config, context.output
    scratch = output / SCRATCH
    groups = grouped([carried.get(source.name, source) for source in sources])
    facts = take_stock(groups, prior, config, scratch, crew)
    columns = assign_columns(merged(facts.values()), config)
    lines = find_recurring_lines(groups, config, scratch, crew)
    reading = Reading(config, columns, facts, frozenset(carried), context.erased, *lines)
    read = read_groups(groups, reading, prior, scratch, crew)
    parts = [part for group in read for part in group.parts]
    decisions = decide(parts, config, scratch / "signatures")
    written = write_parts(read, decisions, columns.metadata, config, output, crew)
    return _Result(read, written, facts, columns)


def _account(
    result: _Result, config: IngestConfig, carried_over: Sequence[str], output: Path
) -> Accounts:
    parts = [part for group in result.parts for part in group]
    accounts = write_ledger([output / part.rows for part in parts], output)
    assert accounts.statuses.total() == sum(part.num_rows for part in parts)
    check_outcome(accounts, config)
    write_reading(result.groups, result.parts, output)
    write_files(result.groups, result.facts, accounts.files, carried_over, output)
    cleaned: Counter[str] = Counter()
    for group in result.groups:
        for counts in group.counts.values():
            cleaned.update(counts)
    text = summary(accounts, result.columns, parts, cleaned, carried_over)
    (output / "corpus.json").write_text(text, "utf-8")
    page = report_page(accounts, cleaned, carried_over)
    (output / "report.html").write_text(page, "utf-8")
    return accounts


def _changes(prior: Prior, result: _Result, output: Path) -> Metrics:
    if not prior.rows:
        return {}
    after = [output / part.rows for group in result.parts for part in group]
    return changes_since(prior.rows, after)


def _clear(output: Path) -> None:
    """Remove what an attempt that crashed left behind, but for the rows it had read.

    They lie in the scratch folder, which stays until all is sealed.
    """
    for entry in output.iterdir():
        if entry.name == SCRATCH and entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry / "signatures", ignore_errors=True)
        elif entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    make_folder(output / SCRATCH)
