"""Tells what a file is: by its content first, then by its name."""

from collections.abc import Sequence
from enum import Enum, auto
from pathlib import PurePosixPath

from tasks.ingest.pages.html_pages import looks_like_html
from tasks.ingest.pages.mediawiki import looks_like_mediawiki
from tasks.ingest.reading.magics import decode_head, has_controls, is_known_binary
from tasks.ingest.tables.table_heads import (
    begins_with_object,
    is_one_line,
    looks_like_csv,
    looks_like_json,
    looks_like_json_lines,
    looks_like_table,
)


class Format(Enum):
    """How a file is read."""

    TEXT = auto()
    MARKDOWN = auto()
    RST = auto()
    HTML = auto()
    JSONL = auto()
    JSON = auto()  # an array, or objects that take several lines each
    CSV = auto()
    PARQUET = auto()
    ARROW = auto()  # an Arrow IPC file
    ARROW_STREAM = auto()
    MEDIAWIKI = auto()
    UNSUPPORTED = auto()


_PACKED_ENDINGS = frozenset({".gz", ".bz2", ".xz", ".zst"})
_ENDINGS = {
    Format.TEXT: ".txt .text",
    Format.MARKDOWN: ".md .markdown .mdx .mkd",
    Format.RST: ".rst .rest",
    Format.HTML: ".html .htm .xhtml",
    Format.JSONL: ".jsonl .ndjson",
    Format.JSON: ".json",
    Format.CSV: ".csv .tsv",
    Format.PARQUET: ".parquet",
    Format.ARROW: ".feather",
    Format.ARROW_STREAM: ".arrow .arrows",
    Format.UNSUPPORTED: (
        ".css .js .svg .xml .lock .ipynb "
        ".png .jpg .jpeg .gif .webp .bmp .ico .tif .tiff .mp3 .mp4 .ogg .wav .woff .woff2 .ttf "
        ".pdf .docx .xlsx .pptx .zip"
    ),
}
_BY_ENDING = {ending: kind for kind, endings in _ENDINGS.items() for ending in endings.split()}
_TEXTS = (Format.TEXT, Format.MARKDOWN, Format.RST, Format.HTML)
_MARKUP = (Format.MARKDOWN, Format.RST)

_MAGICS = {
    b"PAR1": Format.PARQUET,
    b"PARE": Format.PARQUET,  # encrypted
    b"ARROW1": Format.ARROW,
}
_STREAM_MAGIC = b"\xff\xff\xff\xff"
_MAX_SCHEMA_BYTES = 2**28


def detect_format(head: bytes, is_all: bool, name: str, text_columns: Sequence[str]) -> Format:
    """The format of a file.

    Args:
        head: the beginning of its (decompressed) content, in any encoding.
        is_all: whether `head` is the whole content.
        name: its name; endings of compression do not count.
        text_columns: names of columns that hold text; a first line of several fields, one of them
            named so, is a CSV header.
    """
    by_name = _BY_ENDING.get(_ending(name))
    if found := _binary_format(head):
        return found
    text = decode_head(head)
    found = _text_format(text or "", is_all, by_name, text_columns)
    if found is not None:
        return found
    if text is None or (by_name is None and "\0" in text):
        return Format.UNSUPPORTED if by_name is None or by_name in _TEXTS else by_name
    return by_name or Format.TEXT


def _ending(name: str) -> str:
    path = PurePosixPath(name.lower())
    while path.suffix in _PACKED_ENDINGS:
        path = path.with_suffix("")
    return path.suffix


def _binary_format(head: bytes) -> Format | None:
    for magic, found in _MAGICS.items():
        if head.startswith(magic) and has_controls(head):
            return found
    if head.startswith(_STREAM_MAGIC):
        num_bytes = int.from_bytes(head[4:8], "little")
        return Format.ARROW_STREAM if 0 < num_bytes < _MAX_SCHEMA_BYTES else Format.UNSUPPORTED
    return Format.UNSUPPORTED if is_known_binary(head) else None


def _text_format(
    text: str, is_all: bool, by_name: Format | None, text_columns: Sequence[str]
) -> Format | None:
    """What the content itself says."""
    if looks_like_json_lines(text, is_all):
        is_lone = by_name is Format.JSON and is_one_line(text, is_all)
        return Format.JSON if is_lone else Format.JSONL
    if by_name in (None, Format.JSONL) and begins_with_object(text, is_all):
        return Format.JSONL  # however many bad lines follow
    if looks_like_json(text, is_all):
        return Format.JSON
    if by_name in _MARKUP:  # pages in Markdown may begin with HTML, or with a list
        return None
    if looks_like_mediawiki(text):
        return Format.MEDIAWIKI
    if looks_like_html(text):
        return Format.HTML
    if looks_like_csv(text, is_all, text_columns):
        return Format.CSV
    return _format_of_nameless(text, is_all) if by_name is None else None


def _format_of_nameless(text: str, is_all: bool) -> Format | None:
    """What the content says where the name says nothing."""
    if looks_like_table(text, is_all):
        return Format.CSV
    return Format.UNSUPPORTED if text.lstrip().startswith("<?xml") else None
