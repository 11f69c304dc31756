"""Reads text files, whole or cut into documents."""

import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tasks.ingest.encodings.decoding import (
    declared_charset,
    decode_document,
    to_utf8,
)
from tasks.ingest.encodings.lines import lines_encoding
from tasks.ingest.pages.headings import (
    front_matter_title,
    mark_markdown,
    mark_rst,
    split_front_matter,
)
from tasks.ingest.pages.html_pages import Page, extract_page
from tasks.ingest.reading.records import PREVIEW_BYTES, Reason, Record, Refusal, document_name
from tasks.ingest.reading.streams import HEAD_BYTES, UTF8_BOM, Line, read_lines


class Markup(StrEnum):
    """How a text file is written."""

    PLAIN = "plain"
    MARKDOWN = "markdown"
    RST = "rst"
    HTML = "html"


class Unit(StrEnum):
    """What becomes one document."""

    FILE = "file"
    SEPARATOR = "separator"
    HEADING = "heading"


@dataclass(frozen=True, slots=True)
class Cutting:
    """How text files are cut into documents.

    Attributes:
        unit: what becomes one document. HTML always goes by file, and so does text without markup
            that would go by heading.
        separator: the whole of a line that stands between two documents, blanks at its end not
            counted; empty: blank lines separate, so that paragraphs become documents.
        max_heading_level: headings down to this level (1 is the highest) begin a document.
    """

    unit: Unit = Unit.FILE
    separator: str = ""
    max_heading_level: int = 2


def read_text(
    pieces: Iterable[bytes],
    *,
    source: str,
    markup: Markup,
    cutting: Cutting,
    max_bytes: int,
    min_confidence: float,
) -> Iterator[Record | Refusal]:
    """The documents of a file, with the titles that its markup gives them.

    Text stays as its author wrote it, less the front matter of Markdown; of HTML it is the main
    text. A file that goes whole is document 0. Otherwise pieces of nothing but blanks are no
    documents, and what is too long, or does not decode, is refused by itself.

    Args:
        max_bytes: longest document, in the file's own encoding where it goes whole, else in UTF-8.
        min_confidence: how sure a guess of the file's encoding must be, from 0 to 1.
    """
    is_whole = cutting.unit is Unit.FILE or markup is Markup.HTML
    if is_whole or (cutting.unit is Unit.HEADING and markup is Markup.PLAIN):
        yield _read_whole(pieces, source, markup, max_bytes, min_confidence)
    else:
        yield from _read_parts(pieces, source, markup, cutting, max_bytes, min_confidence)


def _read_whole(
    pieces: Iterable[bytes], source: str, markup: Markup, max_bytes: int, min_confidence: float
) -> Record | Refusal:
    parts, num_bytes = [], 0
    for piece in pieces:
        parts.append(piece)
        num_bytes += len(piece)
        if num_bytes > max_bytes:
            return Refusal(0, Reason.TOO_LONG, 0, b"".join(parts)[:PREVIEW_BYTES])
    data = b"".join(parts)
    del parts
    declared = declared_charset(data[:HEAD_BYTES]) if markup is Markup.HTML else None
    decoded = decode_document(data, declared, min_confidence)
    if isinstance(decoded, Reason):
        return _refuse_encoding(0, decoded, data)
    page = _titled(decoded.text, markup)
    preview = data.removeprefix(UTF8_BOM)[:PREVIEW_BYTES]
    if isinstance(page, Reason):
        return Refusal(0, page, 0, preview, num_bytes)
    return Record(
        0, 0, _columns(page.title), document_name(source, 0), preview, page.text, num_bytes
    )


def _refuse_encoding(number: int | None, reason: Reason, data: bytes) -> Refusal:
    """Points at the first byte that is not UTF-8, where there is one."""
    try:
        data.decode("utf-8")
        return Refusal(number, reason, None, data[:PREVIEW_BYTES])
    except UnicodeDecodeError as error:
        return Refusal(number, reason, error.start, data[error.start :][:PREVIEW_BYTES])


def _titled(text: str, markup: Markup) -> Page | Reason:
    match markup:
        case Markup.PLAIN:
            return Page(None, text)
        case Markup.HTML:
            return extract_page(text)
        case Markup.RST:
            headings = (heading for _, heading in mark_rst(_lines_of(text)) if heading)
            first = next(headings, None)
            return Page(first.title or None if first else None, text)
        case Markup.MARKDOWN:
            return _titled_markdown(text)


def _titled_markdown(text: str) -> Page:
    block, below = split_front_matter(_lines_of(text))
    title = front_matter_title(block)
    if title is None:
        headings = (heading for _, heading in mark_markdown(below) if heading)
        title = next((heading.title for heading in headings if heading.level == 1), None)
    rest = text.split("\n", len(block))
    return Page(title or None, rest[len(block)] if len(rest) > len(block) else "")


def _lines_of(text: str) -> Iterator[Line]:
    for data in io.BytesIO(text.encode("utf-8", "replace")):
        yield Line(0, data.removesuffix(b"\n"), True)


def _columns(title: str | None) -> dict[str, str]:
    return {"title": title} if title else {}


class _Begin(NamedTuple):
    """Stands before the first line of a part."""

    title: str | None = None


class _Part:
    """A part of a file while its lines come in."""

    def __init__(self, title: str | None, max_bytes: int) -> None:
        self.title = title
        self.offset: int | None = None
        self.content = bytearray()
        self.is_whole = True
        self._max_bytes = max_bytes

    def add(self, line: Line) -> None:
        if self.offset is None:
            self.offset = line.offset
        elif self.is_whole:
            self.content += b"\n"
        if self.is_whole:
            self.content += line.data
            self.is_whole = line.is_whole and len(self.content) <= self._max_bytes
            if not self.is_whole:
                del self.content[PREVIEW_BYTES:]


def _read_parts(
    pieces: Iterable[bytes],
    source: str,
    markup: Markup,
    cutting: Cutting,
    max_bytes: int,
    min_confidence: float,
) -> Iterator[Record | Refusal]:
    head, is_all, pieces = _peek(iter(pieces))
    encoding = lines_encoding(head, is_all, None, min_confidence)
    if isinstance(encoding, Reason):
        yield _refuse_encoding(None, encoding, head)
        return
    is_utf8 = encoding == "utf-8"
    lines = _without_bom(read_lines(pieces if is_utf8 else to_utf8(pieces, encoding), max_bytes))
    number = 0
    for part in _collect(_cut(lines, markup, cutting), max_bytes):
        found = _finish(part, number, source, is_utf8)
        if found:
            yield found
            number += 1


def _peek(pieces: Iterator[bytes]) -> tuple[bytes, bool, Iterator[bytes]]:
    """The beginning of a stream, whether that is all, and the whole stream again."""
    taken: list[bytes] = []
    num_bytes = 0
    for piece in pieces:
        taken.append(piece)
        num_bytes += len(piece)
        if num_bytes > HEAD_BYTES:
            break
    is_all = num_bytes <= HEAD_BYTES
    return b"".join(taken)[:HEAD_BYTES], is_all, itertools.chain(taken, pieces)


def _without_bom(lines: Iterator[Line]) -> Iterator[Line]:
    for line in lines:
        if line.data.startswith(UTF8_BOM):
            line = Line(line.offset + len(UTF8_BOM), line.data[len(UTF8_BOM) :], line.is_whole)
        yield line
        break
    yield from lines


def _cut(lines: Iterator[Line], markup: Markup, cutting: Cutting) -> Iterator[Line | _Begin]:
    if cutting.unit is Unit.SEPARATOR:
        return _cut_at_separators(lines, cutting.separator.encode("utf-8").rstrip())
    return _cut_at_headings(lines, markup, cutting.max_heading_level)


def _cut_at_separators(lines: Iterator[Line], separator: bytes) -> Iterator[Line | _Begin]:
    for line in lines:
        yield _Begin() if line.is_whole and line.data.rstrip() == separator else line


def _cut_at_headings(
    lines: Iterator[Line], markup: Markup, max_level: int
) -> Iterator[Line | _Begin]:
    if markup is Markup.MARKDOWN:
        block, lines = split_front_matter(lines)
        yield _Begin(front_matter_title(block))
    mark = mark_markdown if markup is Markup.MARKDOWN else mark_rst
    for line, heading in mark(lines):
        if heading and heading.level <= max_level:
            yield _Begin(heading.title)
        yield line


def _collect(cut: Iterator[Line | _Begin], max_bytes: int) -> Iterator[_Part]:
    part = _Part(None, max_bytes)
    for one in cut:
        if isinstance(one, _Begin):
            yield part
            part = _Part(one.title, max_bytes)
        else:
            part.add(one)
    yield part


def _finish(part: _Part, number: int, source: str, is_utf8: bool) -> Record | Refusal | None:
    """The part as a document; None where it is blank.

    Offsets are known where the file is UTF-8, since there lines are counted before decoding.
    """
    offset = part.offset if is_utf8 else None
    preview = bytes(part.content[:PREVIEW_BYTES])
    if not part.is_whole:
        return Refusal(number, Reason.TOO_LONG, offset, preview)
    num_bytes = len(part.content) if is_utf8 else None
    try:
        text = part.content.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = Reason.INVALID_UTF8 if is_utf8 else Reason.INVALID_ENCODING
        bad_offset = None if offset is None else offset + error.start
        bad = bytes(part.content[error.start :][:PREVIEW_BYTES])
        return Refusal(number, reason, bad_offset, bad, num_bytes)
    if not text or text.isspace():
        return None
    doc_id = document_name(source, number)
    return Record(number, offset, _columns(part.title), doc_id, preview, text, num_bytes)
