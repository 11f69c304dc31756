"""Reads any source file as a stream of records and refusals."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

from tasks.ingest.reading.builtin import read_builtin
from tasks.ingest.config import IngestConfig
from tasks.ingest.reading.csv_rows import read_csv
from tasks.ingest.reading.formats import Format, detect_format
from tasks.ingest.reading.jsonl import read_jsonl
from tasks.ingest.reading.parquet_rows import open_parquet, read_parquet
from tasks.ingest.reading.plain_text import read_plain_text
from tasks.ingest.reading.records import FileRefusedError, Reason, Record, Refusal
from tasks.ingest.sources import Source
from tasks.ingest.reading.streams import open_pieces, read_head

Found = Iterator[Record | Refusal]
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def read_source(
    source: Source,
    config: IngestConfig,
    scratch: Path,
    on_bytes: Callable[[int], None],
) -> Found:
    """What a file holds, in its order. Never fails for what is in the file: that is a refusal.

    Args:
        scratch: a folder for temporary files.
        on_bytes: told about bytes read from disk.

    Raises:
        CorpusError: two columns share a name.
    """
    try:
        yield from _read(source, config, scratch, on_bytes)
    except FileRefusedError as refused:
        yield refused.refusal
    except OSError as error:
        if error.errno in _NO_SPACE:  # the scratch folder's trouble, not the file's
            raise
        yield Refusal(None, Reason.UNREADABLE)


def source_format(source: Source, config: IngestConfig) -> Format | None:
    """The format of a file; None where it is empty.

    Raises:
        OSError: it cannot be read.
    """
    head, is_all = read_head(source.path)
    if is_all and not head.strip():
        return None
    return detect_format(head, is_all, source.path.name, config.text_column)


def _read(
    source: Source, config: IngestConfig, scratch: Path, on_bytes: Callable[[int], None]
) -> Found:
    if not config.paths:
        return read_builtin(open_pieces(source.path, on_bytes), source=source.name)
    match source_format(source, config):
        case None:
            return iter([Refusal(None, Reason.EMPTY)])
        case Format.UNSUPPORTED:
            return iter([Refusal(None, Reason.UNSUPPORTED)])
        case Format.PARQUET:
            return _read_parquet(source, scratch)
        case streamed:
            return _read_streamed(streamed, source, config, on_bytes)


def _read_streamed(
    streamed: Format, source: Source, config: IngestConfig, on_bytes: Callable[[int], None]
) -> Found:
    pieces, limit = open_pieces(source.path, on_bytes), config.max_document_bytes
    if streamed is Format.JSONL:
        return read_jsonl(pieces, max_bytes=limit)
    read = read_csv if streamed is Format.CSV else read_plain_text
    return read(pieces, source=source.name, text_column=config.text_column, max_bytes=limit)


def _read_parquet(source: Source, scratch: Path) -> Found:
    with open_parquet(source.path, scratch, source.name) as file:
        yield from read_parquet(file)
