"""Finds the headings among the lines of Markdown or reStructuredText."""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from tasks.ingest.reading.streams import Line

_NO_LINE = Line(0, b"", True)
_MAX_FRONT_MATTER_LINES = 1_000
_MAX_FRONT_MATTER_BYTES = 2**16

# Markdown. A heading stands at most three blanks from the margin.
_ATX_MARK = re.compile(rb" {0,3}(#{1,6})(?:[ \t\r]|$)")
_SETEXT_UNDERLINE = re.compile(rb" {0,3}(=+|-+)[ \t\r]*$")
_NO_SETEXT_TITLE = re.compile(rb" {4}| {0,3}(?:\t|>|[-+*](?:[ \t]|$)|[0-9]{1,9}[.)](?:[ \t]|$)|\|)")
_FENCE = re.compile(rb" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_HTML_BLOCK = re.compile(rb" {0,3}<(!--|(?:pre|script|style|textarea)(?=[\s>]|$))", re.IGNORECASE)
_HTML_BLOCK_END = re.compile(rb"</(?:pre|script|style|textarea)>", re.IGNORECASE)

# Front matter: YAML as people write it, not the whole of the language.
_YAML_LINE = re.compile(rb"\s|$|#|-(?:\s|$)|[\]}]|[^\s#:-][^:]*:(?:\s|$)")
_YAML_TITLE = re.compile(rb"title[ \t]*:[ \t]*(\S.*)", re.IGNORECASE)
_YAML_COMMENT = re.compile(r"\s#")
_YAML_OTHER_VALUES = ("|", ">", "[", "{", "&", "*", "!", "#")

# reStructuredText.
_ADORNMENTS = frozenset(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_NO_RST_TITLE = re.compile(rb"\s|(?:[-+*|]|\.\.|__|>>>)(?:\s|$)|:[^:]+:(?:\s|$)")
_SURE_ADORNMENT = 4  # shorter ones count only where they are as long as the title


class Heading(NamedTuple):
    """A heading; `level` counts from 1, the highest; `title` may be empty."""

    level: int
    title: str


Marked: TypeAlias = Iterator[tuple[Line, Heading | None]]
_Style: TypeAlias = tuple[int, bool]  # the mark that underlines, and whether it also stands above


def mark_markdown(lines: Iterable[Line]) -> Marked:
    """Every line, with the heading that begins there.

    Headings are marked by ``#``, or are one line that is underlined and follows a blank line;
    code fences and comments hold none.
    """
    block_end: _BlockEnd | None = None
    is_apart, is_underline = True, False
    for line, below, _ in _windows(lines):
        heading, was_open = None, block_end is not None
        if block_end:
            block_end = None if block_end.closes(line.data) else block_end
        elif not is_underline:
            block_end = _open_block(line.data)
            heading = _atx_heading(line.data)
            if is_apart and not heading and not block_end:
                heading = _setext_heading(line.data, below.data)
        yield line, heading
        is_apart = was_open or is_underline or heading is not None or not line.data.strip()
        is_underline = bool(heading) and not _ATX_MARK.match(line.data)


def mark_rst(lines: Iterable[Line]) -> Marked:
    """Every line, with the heading that begins there (at its overline where it has one).

    Levels follow from the order in which the styles of underlining appear.
    """
    levels: dict[_Style, int] = {}
    is_apart, num_inside = True, 0
    for line, below, next_below in _windows(lines):
        heading = None
        if num_inside:
            num_inside -= 1
            is_apart = True
        else:
            found = _rst_style(line.data, below.data, next_below.data) if is_apart else None
            if found:
                style, title = found
                heading = Heading(levels.setdefault(style, len(levels) + 1), _plain_title(title))
                num_inside = 2 if style[1] else 1
            is_apart = not line.data.strip() or line.data.startswith(b"..")
        yield line, heading


def split_front_matter(lines: Iterator[Line]) -> tuple[list[Line], Iterator[Line]]:
    """The lines of YAML between ``---`` at the very start, if there are, and the lines below.

    What is not made of keys and their values, or goes on for over 1,000 lines or 64 KiB, is no
    front matter.
    """
    block: list[Line] = []
    num_bytes = 0
    for line in lines:
        block.append(line)
        num_bytes += len(line.data)
        is_mark = line.data.rstrip() == b"---"
        if len(block) > 1 and (is_mark or line.data.rstrip() == b"..."):
            return block, lines
        is_yaml = is_mark or (len(block) > 1 and _YAML_LINE.match(line.data) is not None)
        is_small = len(block) <= _MAX_FRONT_MATTER_LINES and num_bytes <= _MAX_FRONT_MATTER_BYTES
        if not (is_yaml and is_small):
            break
    return [], itertools.chain(block, lines)


def front_matter_title(block: Iterable[Line]) -> str | None:
    """The title that front matter gives on a line of its own."""
    for line in block:
        if found := _YAML_TITLE.match(line.data):
            return _yaml_string(_decode(found[1]).strip()) or None
    return None


class _BlockEnd(NamedTuple):
    """What ends a block of Markdown that holds no headings."""

    fence: bytes  # empty where it is HTML
    is_comment: bool = False

    def closes(self, data: bytes) -> bool:
        if not self.fence:
            return b"-->" in data if self.is_comment else bool(_HTML_BLOCK_END.search(data))
        mark = data.strip()
        is_fence = len(mark) >= len(self.fence) and not mark.strip(self.fence[:1])
        return is_fence and not data.startswith(b"    ")


def _open_block(data: bytes) -> _BlockEnd | None:
    if fence := _FENCE.match(data):
        return _BlockEnd(fence[1])
    if html := _HTML_BLOCK.match(data):
        end = _BlockEnd(b"", html[1] == b"!--")
        return None if end.closes(data[html.end() :]) else end
    return None


def _atx_heading(data: bytes) -> Heading | None:
    mark = _ATX_MARK.match(data)
    if not mark:
        return None
    title = data[mark.end(1) :].strip()
    unclosed = title.rstrip(b"#")
    if not unclosed or unclosed.endswith((b" ", b"\t")):
        title = unclosed
    return Heading(len(mark[1]), _plain_title(title))


def _setext_heading(data: bytes, below: bytes) -> Heading | None:
    mark = _SETEXT_UNDERLINE.match(below)
    if not mark or not data.strip() or _NO_SETEXT_TITLE.match(data):
        return None
    if _SETEXT_UNDERLINE.match(data):
        return None
    return Heading(1 if mark[1].startswith(b"=") else 2, _plain_title(data))


def _rst_style(line: bytes, below: bytes, next_below: bytes) -> tuple[_Style, bytes] | None:
    """The style of a heading that begins at a line, and its title."""
    if over := _adornment(line):
        is_closed = over == next_below.rstrip() and len(over) >= _SURE_ADORNMENT
        has_title = below.strip() and not _adornment(below)
        return ((over[0], True), below) if is_closed and has_title else None
    under = _adornment(below)
    if not under or not line.strip() or _NO_RST_TITLE.match(line):
        return None
    is_long = len(under) >= min(_SURE_ADORNMENT, len(_decode(line).rstrip()))
    return ((under[0], False), line) if is_long else None


def _adornment(data: bytes) -> bytes:
    """The line, where it is one punctuation mark over and over."""
    mark = data[:1]
    if not mark or mark[0] not in _ADORNMENTS:
        return b""
    data = data.rstrip()
    return b"" if data.strip(mark) else data


def _windows(lines: Iterable[Line]) -> Iterator[tuple[Line, Line, Line]]:
    """Every line with the two below it; blank ones below the last."""
    ahead = itertools.chain(lines, (_NO_LINE, _NO_LINE))
    first, second = next(ahead), next(ahead)
    for third in ahead:
        yield first, second, third
        first, second = second, third


def _yaml_string(value: str) -> str:
    for quote, escaped in (('"', '\\"'), ("'", "''")):
        if len(value) > 1 and value[0] == value[-1] == quote:
            return " ".join(value[1:-1].replace(escaped, quote).split())
    if value.startswith(_YAML_OTHER_VALUES):
        return ""
    return " ".join(_YAML_COMMENT.split(value, maxsplit=1)[0].split())


def _plain_title(data: bytes) -> str:
    return " ".join(_decode(data).split())


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "replace")
