"""Cuts text into pretokens by the named patterns, compiled.

Each function is one of `tokenizer.PATTERNS` written out by hand, alternatives in the same order,
over UTF-8 bytes. A test holds them to the pre-tokenizers that `tokenizer.json` names.
Letters: N bytes of text.
"""

from functools import cache

import numpy as np

from model.bpe.characters import LETTER, NUMBER, OTHER, SPACE, character_classes
from model.bpe.words import Bytes
from model.compiled import compiled

NEWLINE = SPACE + 1  # carriage return and line feed, which are spaces too
NAMES = ("gpt2", "gpt4", "eow")
GPT2, GPT4, EOW = range(len(NAMES))
MAX_DIGITS = 3  # in a pretoken of gpt4

# As the classes are stored, so that numba compiles one version of what takes them.
_LETTER, _NUMBER, _OTHER, _NEWLINE = map(np.uint8, (LETTER, NUMBER, OTHER, NEWLINE))
_AS_IS, _ANY_CASE, _TO_NEWLINE = np.bool_(False), np.bool_(True), np.bool_(True)

_BLANK, _APOSTROPHE = 0x20, 0x27
_OPENING, _CLOSING = 0x5B, 0x5D  # square brackets


@cache
def scanned_classes() -> Bytes:
    """`character_classes` with the line ends told apart."""
    classes = character_classes().copy()
    classes[[0x0A, 0x0D]] = NEWLINE
    return classes


@compiled
def pretoken_end(pattern: int, text_N: Bytes, at: int, end: int, classes: Bytes) -> int:
    """Where the pretoken that starts at `at` ends, in a document that ends at `end`."""
    if pattern == GPT2:
        return int(gpt2_end(text_N, at, end, classes))
    if pattern == GPT4:
        return int(gpt4_end(text_N, at, end, classes))
    return int(eow_end(text_N, at, end, classes))


@compiled
def gpt2_end(text_N: Bytes, at: int, end: int, classes: Bytes) -> int:
    """`'(?:[sdmt]|ll|ve|re)`, ` ?\\p{L}+`, ` ?\\p{N}+`, ` ?[^\\s\\p{L}\\p{N}]+`, white space."""
    if text_N[at] == _APOSTROPHE:
        length = contraction_length(text_N, at, end, _AS_IS)
        if length:
            return int(at + length)
    start = at
    found, size = class_at(text_N, at, classes)
    if text_N[at] == _BLANK and at + 1 < end:
        after, after_size = class_at(text_N, at + 1, classes)
        if after < SPACE:
            start, found, size = at + 1, after, after_size
    if found < SPACE:
        return int(run_end(text_N, start + size, end, classes, found))
    return int(space_end(text_N, at, end, classes, _AS_IS))


@compiled
def gpt4_end(text_N: Bytes, at: int, end: int, classes: Bytes) -> int:
    """As in GPT-4: words take any one character before them, numbers have three digits at most,
    punctuation takes the line ends after it, and white space ends with the last line end in it.
    """
    if text_N[at] == _APOSTROPHE:
        length = contraction_length(text_N, at, end, _ANY_CASE)
        if length:
            return int(at + length)
    found, size = class_at(text_N, at, classes)
    after, after_size = OTHER, 0
    if at + size < end:
        after, after_size = class_at(text_N, at + size, classes)
    if found == LETTER:
        return int(run_end(text_N, at + size, end, classes, _LETTER))
    if after_size and after == LETTER and found in (OTHER, SPACE):
        return int(run_end(text_N, at + size + after_size, end, classes, _LETTER))
    if found == NUMBER:
        return int(number_end(text_N, at, end, classes))
    if after_size and after == OTHER and text_N[at] == _BLANK:
        found = OTHER
    if found == OTHER:
        at = run_end(text_N, at + size, end, classes, _OTHER)
        return int(run_end(text_N, at, end, classes, _NEWLINE))
    return int(space_end(text_N, at, end, classes, _TO_NEWLINE))


@compiled
def eow_end(text_N: Bytes, at: int, end: int, classes: Bytes) -> int:
    """White space, one square bracket with the marker after it, or what lies between those."""
    found, size = class_at(text_N, at, classes)
    if found >= SPACE:
        while at < end and found >= SPACE:
            at += size
            if at < end:
                found, size = class_at(text_N, at, classes)
        return int(at)
    if is_bracket(text_N[at]):
        return int(at + 1 + 3 * is_marker(text_N, at + 1, end))
    while at < end and not is_bracket(text_N[at]):
        found, size = class_at(text_N, at, classes)
        if found >= SPACE:
            break
        at += size
    return int(at)


@compiled
def is_bracket(byte: int) -> bool:
    """Whether a byte is `[` or `]`."""
    return byte in (_OPENING, _CLOSING)


@compiled
def is_marker(text_N: Bytes, at: int, end: int) -> bool:
    """Whether the end-of-word marker stands at `at`."""
    if at + 3 > end:
        return False
    return bool(text_N[at] == 0xEE and text_N[at + 1] == 0x80 and text_N[at + 2] == 0x80)


@compiled
def class_at(text_N: Bytes, at: int, classes: Bytes) -> tuple[int, int]:
    """The class of the character at `at`, and its bytes."""
    first = np.int64(text_N[at])
    if first < 0x80:
        return classes[first], 1
    if first < 0xE0:
        return classes[(first & 0x1F) << 6 | (text_N[at + 1] & 0x3F)], 2
    middle = (text_N[at + 1] & 0x3F) << 6 | (text_N[at + 2] & 0x3F)
    if first < 0xF0:
        return classes[(first & 0x0F) << 12 | middle], 3
    return classes[(first & 0x07) << 18 | middle << 6 | (text_N[at + 3] & 0x3F)], 4


@compiled
def run_end(text_N: Bytes, at: int, end: int, classes: Bytes, wanted: int) -> int:
    """The end of the run of characters of one class that begins at `at`, perhaps empty."""
    while at < end:
        found, size = class_at(text_N, at, classes)
        if found != wanted:
            break
        at += size
    return int(at)


@compiled
def number_end(text_N: Bytes, at: int, end: int, classes: Bytes) -> int:
    """The end of at most `MAX_DIGITS` number characters."""
    for _ in range(MAX_DIGITS):
        if at >= end:
            break
        found, size = class_at(text_N, at, classes)
        if found != NUMBER:
            break
        at += size
    return int(at)


@compiled
def space_end(text_N: Bytes, at: int, end: int, classes: Bytes, to_newline: bool) -> int:
    """The end of a pretoken of white space.

    It leaves its last character to the word that follows, if it has another one; with
    `to_newline` it ends with the last line end in it, if there is one.
    """
    start = last = newline = at
    while at < end:
        found, size = class_at(text_N, at, classes)
        if found < SPACE:
            break
        last = at
        at += size
        if found == NEWLINE:
            newline = at
    if to_newline and newline > start:
        return int(newline)
    return int(at if at == end or last == start else last)


@compiled
def contraction_length(text_N: Bytes, at: int, end: int, any_case: bool) -> int:
    """Bytes of the English contraction that starts with the apostrophe at `at`, or 0.

    In any case, a long s (U+017F) is an s too, as in the expressions' case folding.
    """
    if at + 1 >= end:
        return 0
    first = folded(text_N[at + 1], any_case)
    if first in (ord("s"), ord("d"), ord("m"), ord("t")):
        return 2
    if at + 2 >= end:
        return 0
    if any_case and text_N[at + 1] == 0xC5 and text_N[at + 2] == 0xBF:
        return 3
    second = folded(text_N[at + 2], any_case)
    is_known = second == ord("e") and first in (ord("v"), ord("r"))
    return 3 if is_known or (first == ord("l") and second == ord("l")) else 0


@compiled
def folded(byte: int, any_case: bool) -> int:
    """An ASCII letter in lower case."""
    return int(byte | 0x20) if any_case and 0x41 <= byte <= 0x5A else int(byte)
