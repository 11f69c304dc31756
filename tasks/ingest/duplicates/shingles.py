"""Hashes every run of five words of a text to 64 bits, for comparing texts by what they share."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import regex

SHINGLE_WORDS = 5
# Windows bound memory whatever is read, and keep the arrays of one in the processor's cache.
WINDOW_CHARACTERS = 2**16 - 1
WINDOW_TEXTS = 255

_NUM_CODES = 0x40000  # past plane 3 there are no letters, digits or marks of words
_FIRST_SOLO_CODE = 0x0E00
_SOLO = 1
_MARK = 2
_WORD_PATTERN = r"(?V1)[[\p{L}\p{N}\p{Mn}\p{Mc}]--\p{Default_Ignorable_Code_Point}]+"
_MARK_PATTERN = r"[\p{Mn}\p{Mc}]+"
_SOLO_PATTERN = r"[\p{Line_Break=SA}\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Yi}]+"

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Uint8s = npt.NDArray[np.uint8]
Uint64s = npt.NDArray[np.uint64]


class ShingleRows(NamedTuple):
    """The shingles of consecutive texts, or of one window of a long text.

    Attributes:
        first_text: the index of the text that the first row is of.
        hashes: uint64 (num_shingles,), row after row; what a text repeats is repeated.
        offsets: uint64 (num_rows + 1,), where rows begin in `hashes`; a text of fewer than
            five words has an empty row.
    """

    first_text: int
    hashes: Uint64s
    offsets: Uint64s


def shingle(texts: Sequence[str]) -> Iterator[ShingleRows]:
    """The runs of five words of each text; a text of fewer words has none.

    Without five words in a row there is too little to tell two texts apart by their words alone:
    "C#", "C++" and "c" would be one.

    Words are runs of letters, digits and their marks, whatever their case; in scripts that put
    no spaces between words (Chinese, Japanese, Thai, ...) single characters. What stands between
    words does not count. Hashes are the same in every process and on every machine.

    At most 255 rows come at a time, with at most 65,535 shingles. A text of more than 65,535
    characters comes as several rows, one for each window; no shingle is lost between windows,
    which end at blanks, and only where a whole window has none is a word cut in two.
    """
    for start, stop in _batches(texts):
        if len(texts[start]) > WINDOW_CHARACTERS:
            for hashes in _shingle_long(texts[start]):
                yield ShingleRows(start, hashes, np.array([0, len(hashes)], np.uint64))
        else:
            yield ShingleRows(start, *_shingle_short(texts[start:stop]))


def mix(values: Uint64s) -> Uint64s:
    """Scramble 64-bit numbers, one to one, so that each bit depends on all bits."""
    mixed = values ^ (values >> np.uint64(32))
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    mixed ^= mixed >> np.uint64(32)
    return mixed


def multipliers(num: int, seed: int) -> Uint64s:
    """Odd numbers without a pattern, always the same ones."""
    return mix(np.arange(1, num + 1, dtype=np.uint64) + np.uint64(seed << 32)) | np.uint64(1)


def _hash_words(text: str) -> tuple[Uint64s, Ints]:
    """The words of at most 65,535 characters, in order: hashes, and where they begin."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    values = _alphabet().values.take(codes, mode="clip")
    is_word = values != 0
    is_start = is_word.copy()
    is_start[1:] &= ~is_word[:-1]
    if not text.isascii() and codes.max() >= _FIRST_SOLO_CODE:
        is_start |= is_word & _starts_at_solos(_alphabet().kinds.take(codes, mode="clip"))
    starts = np.flatnonzero(is_start)
    if not len(starts):
        return np.empty(0, np.uint64), starts
    # Polynomials in a character's place. What is between words is zero, so that a sum may run
    # on to the next word; divided by its first power, it is the same wherever the word stands.
    powers = _powers()
    values *= powers.rising[: len(values)]
    return mix(np.add.reduceat(values, starts) * powers.falling[starts]), starts


def _starts_at_solos(kinds: Uint8s) -> Bools:
    """Where a character that is a word by itself begins, or what follows it and its marks."""
    is_base = kinds != _MARK
    bases = np.maximum.accumulate(np.where(is_base, np.arange(len(kinds)), 0))
    is_start: Bools = kinds == _SOLO
    is_start[1:] |= is_base[1:] & (kinds[bases[:-1]] == _SOLO)
    return is_start


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of texts that fit a window together, or of one text that fits none."""
    start = num_characters = 0
    for index, text in enumerate(texts):
        num_characters += len(text) + 1
        if index > start and (num_characters > WINDOW_CHARACTERS or index - start == WINDOW_TEXTS):
            yield start, index
            start, num_characters = index, len(text) + 1
    if len(texts):
        yield start, len(texts)


def _shingle_short(texts: Sequence[str]) -> tuple[Uint64s, Uint64s]:
    words, starts = _hash_words("\n".join(texts))
    begins = np.cumsum([0, *(len(text) + 1 for text in texts)])
    return _combine(words, np.searchsorted(starts, begins))


def _shingle_long(text: str) -> Iterator[Uint64s]:
    words = np.empty(0, np.uint64)
    for start, stop in _windows(text):
        words = np.concatenate((words, _hash_words(text[start:stop])[0]))
        if len(words) >= SHINGLE_WORDS:
            yield _combine(words, np.array([0, len(words)]))[0]
            words = words[1 - SHINGLE_WORDS :]


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Ranges of characters that cover a text, and end at a blank where there is one."""
    start = 0
    while start < len(text):
        stop = start + WINDOW_CHARACTERS
        if stop < len(text):
            blank = max(text.rfind(" ", start, stop), text.rfind("\n", start, stop))
            stop = blank + 1 or stop
        yield start, stop
        start = stop


def _combine(words: Uint64s, bounds: Ints) -> tuple[Uint64s, Uint64s]:
    """Shingles, and where each text's begin; `bounds` says where each text's words do."""
    num_words = np.diff(bounds)
    num_runs = np.maximum(num_words - SHINGLE_WORDS + 1, 0)
    offsets = np.concatenate(([0], np.cumsum(num_runs)))
    first_words = np.arange(offsets[-1]) + np.repeat(bounds[:-1] - offsets[:-1], num_runs)
    padded = np.concatenate((words, np.zeros(SHINGLE_WORDS - 1, np.uint64)))
    runs = np.zeros(len(words), np.uint64)
    for place, factor in enumerate(multipliers(SHINGLE_WORDS, seed=1)):
        runs += padded[place : place + len(words)] * factor
    return runs[first_words], offsets.astype(np.uint64)


class _Alphabet(NamedTuple):
    """What characters are, by their code.

    Attributes:
        values: for letters, digits and marks a number without a pattern, the same for both
            cases; zero for everything else.
        kinds: `_SOLO` where a character is a word, `_MARK` where it belongs to the one before.
    """

    values: Uint64s
    kinds: Uint8s


@lru_cache(maxsize=1)
def _alphabet() -> _Alphabet:
    everything = np.arange(_NUM_CODES, dtype=np.uint32).tobytes()
    characters = everything.decode("utf-32-le", "surrogatepass")
    folded = np.arange(1, _NUM_CODES + 1, dtype=np.uint64)
    for match in regex.finditer(r"\p{Changes_When_Casefolded}", characters):
        lower = match.group().casefold()
        if len(lower) == 1:
            folded[match.start()] = ord(lower) + 1
    kinds = np.zeros(_NUM_CODES, np.uint8)
    for kind, pattern in ((_SOLO, _SOLO_PATTERN), (_MARK, _MARK_PATTERN)):
        kinds[_matches(pattern, characters)] = kind
    is_word = _matches(_WORD_PATTERN, characters)
    return _Alphabet(mix(folded) * is_word, kinds * is_word)


def _matches(pattern: str, characters: str) -> Bools:
    is_match = np.zeros(len(characters), np.bool_)
    for match in regex.finditer(pattern, characters):
        is_match[match.start() : match.end()] = True
    return is_match


class _Powers(NamedTuple):
    """Powers of an odd number modulo 2^64, and of the number that undoes it."""

    rising: Uint64s
    falling: Uint64s


@lru_cache(maxsize=1)
def _powers() -> _Powers:
    base = int(multipliers(1, seed=2)[0])
    steps = np.array([base, pow(base, -1, 2**64)], np.uint64)
    rows = np.repeat(steps[:, np.newaxis], WINDOW_CHARACTERS, axis=1)
    rows[:, 0] = 1
    return _Powers(*np.multiply.accumulate(rows, axis=1))
