"""The first pass: which columns there are, of which types, before anything is written."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from model.errors import CorpusError
from tasks.ingest.reading.builtin import BUILTIN_COLUMNS
from tasks.ingest.column_types import kind_of, plain_type, type_of, unify
from tasks.ingest.config import IngestConfig
from tasks.ingest.reading.csv_rows import CsvCell
from tasks.ingest.reading.formats import Format
from tasks.ingest.reading.parquet_rows import column_values, open_parquet
from tasks.ingest.progress import ByteProgress
from tasks.ingest.reading.readers import read_source, source_format
from tasks.ingest.reading.records import FileRefusedError, Record
from tasks.ingest.sources import Source
from tasks.ingest.splits import spelled_split

MAX_COLUMNS = 1000
_MAX_SPLIT_VALUES = 20


class Survey:
    """What is known of all tables of the corpus together.

    Attributes:
        types: column types by name, in order of appearance.
        splits: what the split column says, as `spelled_split` has it, or where that has no
            answer, the odd values themselves, as many as an error message can show.
        has_texts: whether there are plain text files, documents without columns.
    """

    def __init__(self, split_column: str | None) -> None:
        self.types: dict[str, pa.DataType] = {}
        self.splits: set[str] = set()
        self.has_texts = False
        self._split_column = split_column
        self._known: set[tuple[str, object]] = set()

    def add_record(self, record: Record) -> None:
        """Take in a record of JSON values or CSV cells."""
        for name, value in record.columns.items():
            key = (name, kind_of(value))
            if key not in self._known:
                self.add_type(name, type_of(value))
                self._known.add(key)
        if self._split_column:
            self.add_split(record.columns.get(self._split_column))

    def add_type(self, name: str, found: pa.DataType) -> None:
        """Take in the type of one column, or of one value of it."""
        self.types[name] = unify(self.types.get(name, pa.null()), found)
        if len(self.types) > MAX_COLUMNS:
            raise CorpusError(
                f"the corpus has more than {MAX_COLUMNS} columns, the last one {name!r}: "
                "put free-form keys into one nested object"
            )

    def add_split(self, value: Any) -> None:
        """Take in one value of the split column."""
        value = value.text if isinstance(value, CsvCell) else value
        if len(self.splits) < _MAX_SPLIT_VALUES:
            self.splits.add(spelled_split(value) or repr(value)[:50])


def survey_sources(
    sources: Sequence[Source],
    config: IngestConfig,
    scratch: Path,
    progress: ByteProgress,
) -> Survey:
    """Look at every file. Reads JSON lines and CSV whole, of Parquet the schema and the splits.

    Raises:
        CorpusError: too many columns, or two of one name in a file.
    """
    survey = Survey(config.split_column)
    if not config.paths:
        for name in BUILTIN_COLUMNS:
            survey.add_type(name, pa.string())
        return survey
    for source in sources:
        with suppress(FileRefusedError, OSError):  # the second pass accounts for these
            _survey_source(survey, source, config, scratch, progress.advance)
        progress.finish(source)
    return survey


def _survey_source(
    survey: Survey,
    source: Source,
    config: IngestConfig,
    scratch: Path,
    on_bytes: Callable[[int], None],
) -> None:
    match source_format(source, config):
        case Format.PARQUET:
            _survey_parquet(survey, source, config, scratch)
        case Format.JSONL | Format.CSV:
            for found in read_source(source, config, scratch, on_bytes):
                if isinstance(found, Record):
                    survey.add_record(found)
        case Format.TEXT:
            survey.has_texts = True


def _survey_parquet(survey: Survey, source: Source, config: IngestConfig, scratch: Path) -> None:
    with open_parquet(source.path, scratch, source.name) as file:
        for field in file.schema_arrow:
            survey.add_type(field.name, plain_type(field.type))
        if config.split_column and config.split_column in file.schema_arrow.names:
            for value in column_values(file, config.split_column):
                survey.add_split(value)
