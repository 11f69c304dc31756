"""Reads the files of text that a setting names: files, folders, globs, archives, compressed."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from model.errors import CorpusError, RequestError
from tasks.ingest.config import IngestConfig
from tasks.ingest.containers.contents import Content
from tasks.ingest.encodings.decoding import to_utf8
from tasks.ingest.encodings.lines import lines_encoding
from tasks.ingest.places.sources import Source, list_sources
from tasks.ingest.readers import open_source
from tasks.ingest.reading.records import FileRefusedError, Reason, Refusal
from tasks.ingest.reading.streams import ignore_progress, read_lines

MAX_LINE_BYTES = 2**20
_MIN_CONFIDENCE = float(IngestConfig.model_fields["min_encoding_confidence"].default)

Lines = Iterator[bytes]
Wanted = Callable[[str, bytes], bool]


def named_digests(paths: Sequence[str], setting: str) -> list[list[str]]:
    """What identifies the files: sorted pairs of relative name and SHA-256, not where they lie.

    Args:
        paths: files, folders, globs, archives or URIs.
        setting: such as ``probe.conllu``; every complaint begins with it.

    Raises:
        RequestError: a path is missing, cannot be read, or has no files below it.
        CorpusError: a file is being written to, or its server fails.
    """
    return [[source.name, source.sha256] for source in _sources(paths, setting)]


def read_named(paths: Sequence[str], setting: str, wanted: Wanted) -> Iterator[tuple[str, Lines]]:
    """The texts behind the paths that are wanted, each with its name and its lines.

    The rest is passed over. A text is read before the next is asked for.

    Args:
        paths: files, folders, globs, archives or URIs, compressed or not.
        setting: such as ``probe.conllu``.
        wanted: told a name, ``a.zip/folder/b.txt`` for a member, and the beginning in UTF-8,
            empty where it cannot be read.

    Yields:
        A name, and lines in UTF-8 without their ends; bytes that do not decode are left in, so
        that decoding a line finds them.

    Raises:
        RequestError: a path is missing, cannot be read, or has no files below it.
        CorpusError: a wanted file is damaged; raised by the lines where it breaks.
    """
    with tempfile.TemporaryDirectory(prefix="corpusmith-") as scratch:
        for source in _sources(paths, setting):
            for found in open_source(source, Path(scratch), ignore_progress):
                if not isinstance(found, Content):
                    _refuse_wanted(source, *found, setting, wanted)
                elif text := _wanted_text(found, setting, wanted):
                    yield text


def _sources(paths: Sequence[str], setting: str) -> list[Source]:
    try:
        return list_sources(IngestConfig.model_validate({"paths": list(paths)}))
    except RequestError as error:
        raise RequestError(f"{setting}: {error}") from None


def _refuse_wanted(
    source: Source, name: str, refusal: Refusal, setting: str, wanted: Wanted
) -> None:
    """What cannot be opened is only passed over where it is an orderly stranger."""
    is_defect = name == source.name and not refusal.reason.is_drop
    if is_defect or wanted(name, b""):
        raise _damage(setting, name, refusal.reason)


def _wanted_text(content: Content, setting: str, wanted: Wanted) -> tuple[str, Lines] | None:
    encoding = lines_encoding(content.head, content.is_all, None, _MIN_CONFIDENCE)
    is_text = not isinstance(encoding, Reason)
    head = b"".join(to_utf8([content.head], encoding)) if is_text else b""
    if not wanted(content.name, head):
        return None
    if isinstance(encoding, Reason):
        raise _damage(setting, content.name, encoding)
    return content.name, _lines(content, encoding, setting)


def _lines(content: Content, encoding: str, setting: str) -> Lines:
    try:
        lines = read_lines(to_utf8(content.pieces, encoding), MAX_LINE_BYTES)
        for number, line in enumerate(lines, start=1):
            if not line.is_whole:
                raise CorpusError(
                    f"{setting}: {content.name}, line {number} is longer than {MAX_LINE_BYTES:,} "
                    "bytes: give a whole file of ordinary lines"
                )
            yield line.data.removesuffix(b"\r")
    except FileRefusedError as refused:
        raise _damage(setting, content.name, refused.refusal.reason) from None
    except OSError as error:
        raise CorpusError(
            f"{setting}: {content.name} cannot be read ({error.strerror or error}): check the file"
        ) from None


def _damage(setting: str, name: str, reason: Reason) -> CorpusError:
    words = reason.value.replace("_", " ")
    return CorpusError(f"{setting}: {name} cannot be read ({words}): give a whole file")
