"""Brings a text into the form that the corpus keeps: one spelling, no debris, tidy lines.

What carries content stays; what only carried layout or transport goes, and all of it is counted:

- NUL and the other control codes go, but for tab and newline. So do byte order marks,
  noncharacters and soft hyphens, which would only make two words of one.
- Every way to end a line or a page becomes a newline.
- No-break spaces and spaces of special width become plain ones: a word beside them is the same
  word. Two stay: the ideographic space is plain in its script, and the narrow no-break space
  shapes Mongolian letters, so a text in that script keeps it.
- Tabs and runs of spaces inside a line, and the indentation of lines, stay: code and tables.
- Blanks at line ends go, and all but one of the blank lines in a row.
- Bidirectional marks and zero width joiners stay: Arabic, Persian, Indic scripts and emoji are
  spelled with them. Replacement characters stay as the evidence of an earlier mistake.
- Characters are composed (Unicode normal form C), with a limit on accents in a row.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache

import regex

PIECE_CHARACTERS = 2**16


class Found(StrEnum):
    """What normalising found; counts are of characters unless said otherwise."""

    # Removed or replaced.
    NUL = "nul"
    CONTROL = "control"
    BYTE_ORDER_MARK = "byte_order_mark"
    NONCHARACTER = "noncharacter"
    SOFT_HYPHEN = "soft_hyphen"
    LINE_END = "line_end"
    SPECIAL_SPACE = "special_space"
    TRAILING_BLANK = "trailing_blank"
    SURPLUS_NEWLINE = "surplus_newline"
    NOT_COMPOSED = "not_composed"  # texts
    LONG_ACCENTS = "long_accents"  # grapheme joiners put in
    # Kept.
    BIDI_MARK = "bidi_mark"
    ZERO_WIDTH = "zero_width"
    REPLACEMENT = "replacement"


def normalise(text: str) -> tuple[str, Counter[Found]]:
    """The text in the form described above, and how often each thing was found.

    Normalising twice is normalising once. Time is linear, and memory a few times the text at
    worst, whatever the text.
    """
    counts: Counter[Found] = Counter()
    if _is_unusual(text):
        text = _cut_runs_of_accents(_replace_marks(text, counts), counts)
    if not text.isascii():
        text = _compose(text, counts)
    if not _is_tidy(text):
        text = _tidy(text, counts)
    return text, counts


def collapse_blank_lines(text: str) -> str:
    """At most one blank line in a row, none at the ends, where blank lines hold no blanks."""
    for run in ("\n" * 27, "\n" * 3):  # the long one first, lest a huge run takes many rounds
        while run in text:
            text = text.replace(run, "\n\n")
    return text.strip("\n")


def whole_lines(text: str) -> Iterator[str]:
    """The text in pieces of at least 65,536 characters that end with a newline, and the rest.

    Working on such pieces keeps lists of lines small, however many lines a text has.
    """
    start = 0
    while start < len(text):
        end = text.find("\n", start + PIECE_CHARACTERS) + 1 or len(text)
        yield text[start:end]
        start = end


def _characters(*ranges: tuple[int, int]) -> str:
    return "".join(chr(code) for first, last in ranges for code in range(first, last + 1))


def _table(*rows: tuple[Found, str | None, str]) -> dict[str, tuple[Found, str | None]]:
    return {mark: (found, instead) for found, instead, marks in rows for mark in marks}


_CONTROLS = _characters((0x01, 0x08), (0x0E, 0x1F), (0x7F, 0x84), (0x86, 0x9F))
_NONCHARACTERS = _characters((0xFDD0, 0xFDEF)) + "".join(
    chr(plane << 16 | 0xFFFE | last) for plane in range(17) for last in (0, 1)
)
_BIDI_MARKS = "\u061c\u200e\u200f" + _characters((0x202A, 0x202E), (0x2066, 0x2069))
# What a mark is, and what stands in its place (None: it stays).
_MARKS = _table(
    (Found.NUL, "", "\0"),
    (Found.CONTROL, "", _CONTROLS),
    (Found.BYTE_ORDER_MARK, "", "\ufeff"),
    (Found.NONCHARACTER, "", _NONCHARACTERS),
    (Found.SOFT_HYPHEN, "", "\xad"),
    (Found.LINE_END, "\n", "\r\v\f\x85\u2028\u2029"),
    (Found.SPECIAL_SPACE, " ", "\xa0\u202f\u205f" + _characters((0x2000, 0x200A))),
    (Found.BIDI_MARK, None, _BIDI_MARKS),
    (Found.ZERO_WIDTH, None, "\u200b\u200c\u200d\u2060"),
    (Found.REPLACEMENT, None, "\ufffd"),
)
_ASCII_MARKS = "".join(filter(str.isascii, _MARKS)).encode()
# Searched for in every text: a character class is fast as long as it lists nothing past U+FFFF.
_BEYOND = "\U00010000-\U0010ffff"
_NARROW_SPACE = "\u202f"
_MONGOLIAN = re.compile("[\u1800-\u18af]")
_BLANKS = " \t\u3000"
_OPEN_ENDS = ("\n", *_BLANKS)
_ACCENT = r"[^\p{ccc=0}]"
_RUN_OF_ACCENTS = regex.compile(rf"{_ACCENT}{{30}}(?={_ACCENT})")


def _is_unusual(text: str) -> bool:
    if text.isascii():  # four times as fast as the search
        return len(text.encode().translate(None, _ASCII_MARKS)) < len(text)
    return _unusual().search(text) is not None


@cache
def _unusual() -> re.Pattern[str]:
    """Marks, combining characters, and all that might be one of them."""
    accents = filter(unicodedata.combining, map(chr, range(0x300, 0x10000)))
    return re.compile(f"[{_listed(_MARKS)}{_listed(accents)}{_BEYOND}]")


@cache
def _mark() -> re.Pattern[str]:
    return re.compile(f"[{_listed(_MARKS)}{_BEYOND}]")


def _listed(characters: Iterable[str]) -> str:
    return "".join(re.escape(character) for character in characters if character <= "\uffff")


def _replace_marks(text: str, counts: Counter[Found]) -> str:
    if num_pairs := text.count("\r\n"):
        counts[Found.LINE_END] += num_pairs
        text = text.replace("\r\n", "\n")
    for mark, number in _count_marks(text).items():
        found, instead = _MARKS.get(mark, (None, None))
        if found is None or (mark == _NARROW_SPACE and _MONGOLIAN.search(text)):
            continue
        counts[found] += number
        if instead is not None:
            text = text.replace(mark, instead)
    return text


def _count_marks(text: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    find = _mark().findall
    for start in range(0, len(text), PIECE_CHARACTERS):
        counts.update(find(text, start, start + PIECE_CHARACTERS))
    return counts


def _compose(text: str, counts: Counter[Found]) -> str:
    composed = unicodedata.normalize("NFC", text)
    if composed == text:
        return text
    counts[Found.NOT_COMPOSED] += 1
    return _cut_runs_of_accents(composed, counts)  # taking letters apart can lengthen a run


def _cut_runs_of_accents(text: str, counts: Counter[Found]) -> str:
    """Put a grapheme joiner after every 30 combining characters in a row.

    This is the Stream-Safe Text Format of Unicode Standard Annex 15. No writing needs as many;
    without it, normalising takes quadratic time, here and wherever the text goes next.
    """
    if _RUN_OF_ACCENTS.search(text):
        length = len(text)
        text = _RUN_OF_ACCENTS.sub("\\g<0>\u034f", text)
        counts[Found.LONG_ACCENTS] += len(text) - length
    return text


def _is_tidy(text: str) -> bool:
    return not (
        text.startswith("\n")
        or text.endswith(_OPEN_ENDS)
        or "\n\n\n" in text
        or " \n" in text
        or ("\t" in text and "\t\n" in text)  # a single character is found faster than two
        or ("\u3000" in text and "\u3000\n" in text)
    )


def _tidy(text: str, counts: Counter[Found]) -> str:
    stripped = "".join(_strip_line_ends(whole_lines(text)))
    tidied = collapse_blank_lines(stripped)
    counts[Found.TRAILING_BLANK] += len(text) - len(stripped)
    counts[Found.SURPLUS_NEWLINE] += len(stripped) - len(tidied)
    return tidied


def _strip_line_ends(pieces: Iterable[str]) -> Iterator[str]:
    for piece in pieces:
        yield "\n".join([line.rstrip(_BLANKS) for line in piece.split("\n")])
