"""The ingest stage: hash, survey, take in, check that nothing moved, conclude."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from tasks.ingest.columns import Columns, assign_columns
from tasks.ingest.config import IngestConfig
from tasks.ingest.intake import Intake
from tasks.ingest.ledger import Ledger
from tasks.ingest.outcome import check_outcome, metrics, summary
from tasks.ingest.progress import ByteProgress
from tasks.ingest.reading.readers import read_source
from tasks.ingest.shards import ShardWriter
from tasks.ingest.sources import Source, check_unchanged, list_sources
from tasks.ingest.survey import survey_sources
from tasks.stage import Metrics, StageContext


def run(context: StageContext) -> Metrics:
    """Make a corpus of the files that the config names.

    Two passes over the files: one for the columns and their types, one for the documents. Memory
    is bounded by `max_document_bytes` and a row group, and 300 bytes for each distinct document.

    Raises:
        RequestError: a path that leads to no readable file.
        CorpusError: columns that do not fit the settings, or a corpus that cannot serve.
        SourceChangedError: a file changed meanwhile.
    """
    config = context.config
    assert isinstance(config, IngestConfig)
    _clear(context.output)
    sources = list_sources(config)
    num_source_bytes = sum(source.num_bytes for source in sources)
    progress = ByteProgress(context.report, 2 * num_source_bytes)
    try:
        survey = survey_sources(sources, config, context.output, progress)
        columns = assign_columns(survey, config)
        ledger = _take_in(sources, columns, config, context.output, progress)
    except Exception:  # whatever went wrong, a file that changed meanwhile explains it better
        check_unchanged(sources)
        raise
    check_unchanged(sources)
    progress.close()
    return metrics(ledger, len(sources), num_source_bytes)


def _take_in(
    sources: Sequence[Source],
    columns: Columns,
    config: IngestConfig,
    output: Path,
    progress: ByteProgress,
) -> Ledger:
    shards = ShardWriter(output, columns.metadata, config.documents_per_shard)
    with Ledger(output) as ledger:
        intake = Intake(columns, config, shards, ledger)
        for source in sources:
            intake.take(source.name, read_source(source, config, output, progress.advance))
            progress.finish(source)
        shards.close()
    check_outcome(ledger, intake.num_read, config)
    text = summary(ledger, config, list(columns.metadata), shards.shards)
    (output / "corpus.json").write_text(text, "utf-8")
    return ledger


def _clear(output: Path) -> None:
    """Remove what an attempt that crashed left behind; ingest starts over."""
    for entry in output.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
