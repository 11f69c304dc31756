"""The first pass over a file: which columns there are, of which types."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.ingest.column_types import kind_of, plain_type, type_of
from tasks.ingest.config import IngestConfig
from tasks.ingest.containers.contents import Content
from tasks.ingest.facts import MAX_SPLIT_VALUES, Facts
from tasks.ingest.fields import Fields, fields_of
from tasks.ingest.places.sources import Source
from tasks.ingest.readers import content_format, open_source, read_records
from tasks.ingest.reading.builtin import BUILTIN_COLUMNS
from tasks.ingest.reading.formats import Format
from tasks.ingest.reading.records import FileRefusedError, Record
from tasks.ingest.splits import spelled_split
from tasks.ingest.tables.arrow_rows import ArrowTable, open_table
from tasks.ingest.tables.csv_rows import CsvCell

PAGE_COLUMNS: dict[Format, dict[str, pa.DataType]] = {
    Format.MARKDOWN: {"title": pa.string()},
    Format.RST: {"title": pa.string()},
    Format.HTML: {"title": pa.string()},
    Format.MEDIAWIKI: {"title": pa.string(), "page_id": pa.int64()},
}


class Surveyor:
    """Takes in records and says what columns they have."""

    def __init__(self, config: IngestConfig) -> None:
        self.facts = Facts()
        self._config = config
        self._fields: dict[tuple[str, ...], Fields] = {}
        self._known: set[tuple[str, object]] = set()

    def add_record(self, record: Record) -> None:
        """Take in a record of JSON values, CSV cells or Arrow scalars."""
        if record.text is not None and not record.columns:
            self.facts.has_texts = True
            return
        self.add_names(tuple(record.columns), has_text=record.text is not None)
        for name, value in record.columns.items():
            key = (name, kind_of(value))
            if key not in self._known:
                self._known.add(key)
                self.facts.add_type(name, type_of(value))
        if self._config.split_column:
            self.add_split(record.columns.get(self._config.split_column))

    def add_names(self, names: tuple[str, ...], *, has_text: bool) -> None:
        """Take in the column names of a record; `has_text` if its text is not among them."""
        if names not in self._fields:
            fields = self._fields[names] = fields_of(names, self._config, has_text=has_text)
            self.facts.metadata.update(fields.metadata)
            self.facts.text_names.update([fields.text] if fields.text else [])
            self.facts.id_names.update([fields.id] if fields.id else [])
            self.facts.has_texts |= has_text

    def add_page(self, columns: Mapping[str, pa.DataType]) -> None:
        """Take in that there are pages, documents with a text and these columns."""
        self.add_names(tuple(columns), has_text=True)
        for name, found in columns.items():
            self.facts.add_type(name, found)

    def add_split(self, value: Any) -> None:
        """Take in one value of the split column."""
        value = value.text if isinstance(value, CsvCell) else value
        value = value.as_py() if isinstance(value, pa.Scalar) else value
        if len(self.facts.splits) < MAX_SPLIT_VALUES:
            self.facts.splits.add(spelled_split(value) or repr(value)[:50])


def survey_source(
    source: Source,
    config: IngestConfig,
    scratch: Path,
    on_bytes: Callable[[int], None],
) -> Facts:
    """What is known of a file's columns. Reads JSON and CSV whole, of Parquet and Arrow the schema
    and the splits, of all else the beginning.

    Raises:
        CorpusError: too many columns, or two of one name in a table.
    """
    surveyor = Surveyor(config)
    if not config.paths:
        for name in BUILTIN_COLUMNS:
            surveyor.facts.add_type(name, pa.string())
        surveyor.add_names(BUILTIN_COLUMNS, has_text=False)
        return surveyor.facts
    for content in open_source(source, scratch, on_bytes):
        if isinstance(content, Content):
            with suppress(FileRefusedError, OSError):  # the second pass accounts for these
                _survey_content(surveyor, content, config, scratch)
    return surveyor.facts


def _survey_content(
    surveyor: Surveyor, content: Content, config: IngestConfig, scratch: Path
) -> None:
    match content_format(content, config):
        case None | Format.UNSUPPORTED:
            return
        case Format.PARQUET | Format.ARROW | Format.ARROW_STREAM as found:
            with open_table(content, found, scratch) as table:
                _survey_table(surveyor, table, config)
        case Format.JSONL | Format.JSON | Format.CSV as found:
            for record in read_records(found, content, config, scratch):
                if isinstance(record, Record):
                    surveyor.add_record(record)
        case Format.TEXT:
            surveyor.facts.has_texts = True
        case found:
            surveyor.add_page(PAGE_COLUMNS[found])


def _survey_table(surveyor: Surveyor, table: ArrowTable, config: IngestConfig) -> None:
    surveyor.add_names(tuple(table.schema.names), has_text=False)
    for field in table.schema:
        surveyor.facts.add_type(field.name, plain_type(field.type))
    if config.split_column and config.split_column in table.schema.names:
        for value in table.column_values(config.split_column):
            surveyor.add_split(value)
