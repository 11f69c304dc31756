"""Reads any source file as a stream of records and refusals."""

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from tasks.ingest.config import IngestConfig
from tasks.ingest.containers.contents import Content, open_contents
from tasks.ingest.encodings.decoding import declared_charset, to_utf8
from tasks.ingest.encodings.lines import lines_encoding
from tasks.ingest.fields import text_names
from tasks.ingest.pages.mediawiki import read_mediawiki
from tasks.ingest.pages.plain_text import Cutting, Markup, Unit, read_text
from tasks.ingest.places.location import open_location
from tasks.ingest.places.sources import Source
from tasks.ingest.reading.builtin import read_builtin
from tasks.ingest.reading.formats import Format, detect_format
from tasks.ingest.reading.records import FileRefusedError, Reason, Record, Refusal
from tasks.ingest.tables.arrow_rows import open_table
from tasks.ingest.tables.csv_rows import read_csv
from tasks.ingest.tables.json_array import read_json_array
from tasks.ingest.tables.jsonl import read_jsonl

Found: TypeAlias = Iterator[Record | Refusal]
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MARKUPS = {
    Format.TEXT: Markup.PLAIN,
    Format.MARKDOWN: Markup.MARKDOWN,
    Format.RST: Markup.RST,
    Format.HTML: Markup.HTML,
}
_TABLES = (Format.PARQUET, Format.ARROW, Format.ARROW_STREAM)


def read_source(
    source: Source,
    config: IngestConfig,
    scratch: Path,
    on_bytes: Callable[[int], None],
) -> Iterator[tuple[str, Record | Refusal]]:
    """What a file holds, in its order, each with the name of the file or of the archive's member.

    Never fails for what is in the file: that is a refusal.

    Args:
        scratch: a folder for temporary files.
        on_bytes: told about bytes read from disk.

    Raises:
        CorpusError: two columns of a table share a name.
    """
    for content in open_source(source, scratch, on_bytes):
        if isinstance(content, Content):
            for found in _guarded(content, config, scratch):
                yield content.name, found
        else:
            yield content


def open_source(
    source: Source, scratch: Path, on_bytes: Callable[[int], None]
) -> Iterator[Content | tuple[str, Refusal]]:
    """The contents of a file: one, or an archive's members; what cannot be opened as a refusal."""
    try:
        with open_location(source.location) as file:
            yield from open_contents(source.name, file, scratch, on_bytes)
    except OSError as error:
        _raise_if_full(error)
        yield source.name, Refusal(None, Reason.UNREADABLE)


def content_format(content: Content, config: IngestConfig) -> Format | None:
    """The format of a content; None where it is empty."""
    if content.is_all and not content.head.strip():
        return None
    return detect_format(content.head, content.is_all, content.name, text_names(config))


def read_records(found: Format, content: Content, config: IngestConfig, scratch: Path) -> Found:
    """The records of a content of known format.

    Raises:
        FileRefusedError: nothing more can be read.
    """
    limit, source = config.max_document_bytes, content.name
    if found in _MARKUPS:
        return read_text(
            content.pieces,
            source=source,
            markup=_MARKUPS[found],
            cutting=_cutting(config),
            max_bytes=limit,
            min_confidence=config.min_encoding_confidence,
        )
    if found in _TABLES:
        return _read_table(content, found, scratch)
    if found is Format.MEDIAWIKI:
        return read_mediawiki(content.pieces, source=source, max_bytes=limit)
    pieces = _in_utf8(content, config)
    if found is Format.CSV:
        return read_csv(pieces, source=source, text_columns=text_names(config), max_bytes=limit)
    if found is Format.JSON:
        return read_json_array(pieces, max_bytes=limit, text_columns=text_names(config))
    return read_jsonl(pieces, max_bytes=limit)


def _guarded(content: Content, config: IngestConfig, scratch: Path) -> Found:
    """All of a content, with what stops it as a last refusal."""
    try:
        yield from _read(content, config, scratch)
    except FileRefusedError as refused:
        yield refused.refusal
    except OSError as error:
        _raise_if_full(error)
        yield Refusal(None, Reason.UNREADABLE)


def _read(content: Content, config: IngestConfig, scratch: Path) -> Found:
    if not config.paths:
        return read_builtin(content.pieces, source=content.name)
    match content_format(content, config):
        case None:
            return iter([Refusal(None, Reason.EMPTY)])
        case Format.UNSUPPORTED:
            return iter([Refusal(None, Reason.UNSUPPORTED)])
        case found:
            return read_records(found, content, config, scratch)


def _read_table(content: Content, found: Format, scratch: Path) -> Found:
    with open_table(content, found, scratch) as table:
        yield from table.read_rows()


def _in_utf8(content: Content, config: IngestConfig) -> Iterable[bytes]:
    encoding = lines_encoding(
        content.head,
        content.is_all,
        declared_charset(content.head),
        config.min_encoding_confidence,
    )
    if isinstance(encoding, Reason):
        raise FileRefusedError(encoding, 0)
    return to_utf8(content.pieces, encoding)


def _cutting(config: IngestConfig) -> Cutting:
    return Cutting(Unit(config.document_unit), config.document_separator, config.heading_level)


def _raise_if_full(error: OSError) -> None:
    if error.errno in _NO_SPACE:  # the scratch folder's trouble, not the file's
        raise error
