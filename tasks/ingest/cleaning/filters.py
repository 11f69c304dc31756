"""Drops texts that are too short, too long, not prose, or full of repetition, where asked to.

A lean choice of the rules of Rae et al. 2021 ("Scaling Language Models: Methods, Analysis &
Insights from Training Gopher", appendix A.1.1). Of its thirteen measures of repetition these
three say nearly all: repeated lines, the most frequent phrase of 2 to 4 words, and repeated
phrases of 5 words. Repeated phrases of 6 to 10 words consist of repeated phrases of 5, so they
never cover more. Left out is what holds for English alone (stop words, letters per word). The
share of digits is our own addition, for tables and logs.

A word is a run of characters without blanks. Scripts that put no blanks between words (Chinese,
Japanese, Thai, Lao, Tibetan, Burmese, Khmer) count each character, with its accents, as a word.
Repetition is judged in the first 524,288 characters: that much is enough to tell, and memory
stays bounded.
"""

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import regex

from tasks.ingest.cleaning.normalisation import PIECE_CHARACTERS
from tasks.ingest.filter_config import FilterConfig
from tasks.ingest.reading.records import Reason

_JUDGED_CHARACTERS = 2**19
_LONG_PHRASE = 5  # words; shorter ones must be the most frequent to count
_BLANKS = " \n\t\u3000"
_ASCII_DIGITS = b"0123456789"
_DIGITS = re.compile(r"\d+")
_WITHOUT_BLANKS = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Hiragana, Katakana
)
_IS_WITHOUT_BLANKS = re.compile(f"[{_WITHOUT_BLANKS}]")
_WORD = regex.compile(rf"[{_WITHOUT_BLANKS}]\p{{M}}*+|[^\s{_WITHOUT_BLANKS}]++")
_SEAM = regex.compile(rf"\s|(?=[{_WITHOUT_BLANKS}])\P{{M}}")

Codes = npt.NDArray[np.int64]  # the same number for the same word, line or phrase
Lengths = npt.NDArray[np.int64]  # in characters
Flags = npt.NDArray[np.bool_]


def why_dropped(text: str, config: FilterConfig) -> Reason | None:
    """The first reason that the config gives for dropping the text; None where it stays.

    Filters that are off cost nothing. Time is n log n at worst.
    """
    return (
        _why_by_words(text, config)
        or _why_by_digits(text, config)
        or _why_by_lines(text, config)
        or _why_by_phrases(text, config)
    )


def count_words(text: str) -> int:
    """The number of words, as defined above."""
    return sum(len(_words(piece)) for piece in _pieces(text))


def _why_by_words(text: str, config: FilterConfig) -> Reason | None:
    low, high, max_symbols = config.min_words, config.max_words, config.max_symbols_per_word
    if low is None and high is None and max_symbols is None:
        return None
    num_words = count_words(text)
    if low is not None and num_words < low:
        return Reason.TOO_FEW_WORDS
    if high is not None and num_words > high:
        return Reason.TOO_MANY_WORDS
    if max_symbols is not None and _most_symbols(text) > max_symbols * num_words:
        return Reason.TOO_MANY_SYMBOLS
    return None


def _most_symbols(text: str) -> int:
    """Hash signs or ellipses, whichever are more."""
    return max(text.count("#"), text.count("...") + text.count("…"))


def _why_by_digits(text: str, config: FilterConfig) -> Reason | None:
    """Digits of any script, as a share of all characters that are not blank."""
    if config.max_digit_frac is None:
        return None
    num_characters = len(text) - sum(map(text.count, _BLANKS))
    is_too_many = _count_digits(text) > config.max_digit_frac * num_characters
    return Reason.TOO_MANY_DIGITS if is_too_many else None


def _count_digits(text: str) -> int:
    if text.isascii():
        return len(text) - len(text.encode().translate(None, _ASCII_DIGITS))
    starts = range(0, len(text), PIECE_CHARACTERS)
    return sum(
        len(run)
        for start in starts
        for run in _DIGITS.findall(text, start, start + PIECE_CHARACTERS)
    )


def _why_by_lines(text: str, config: FilterConfig) -> Reason | None:
    """Characters of lines that stood before in the text, as a share of those of all lines.

    Outer blanks of lines do not count.
    """
    limit = config.max_repeated_line_frac
    if limit is None:
        return None
    codes, lengths = _coded(list(map(str.strip, text[:_JUDGED_CHARACTERS].split("\n"))))
    is_too_much = _share(_is_repeated(codes), lengths) > limit
    return Reason.REPETITIVE if is_too_much else None


def _why_by_phrases(text: str, config: FilterConfig) -> Reason | None:
    """Characters covered by phrases, as a share of those of all words.

    Of 2, 3 or 4 words: all occurrences of the most frequent phrase that occurs twice or more; of
    several such, the longest one. Of 5 words: all occurrences of any phrase but its first. What
    overlapping occurrences share counts once.
    """
    if config.max_top_ngram_frac is None and config.max_repeated_ngram_frac is None:
        return None
    words, lengths = _coded(_words(text[:_JUDGED_CHARACTERS]))
    phrases, num_words = words, int(words.max(initial=0)) + 1
    for size in range(2, min(_LONG_PHRASE, len(words)) + 1):
        phrases = _lengthen(phrases, words, num_words)
        is_long = size == _LONG_PHRASE
        limit = config.max_repeated_ngram_frac if is_long else config.max_top_ngram_frac
        if limit is None:
            continue
        starts = _is_repeated(phrases) if is_long else _is_most_frequent(phrases, lengths)
        if _share(_covered(starts, size), lengths) > limit:
            return Reason.REPETITIVE
    return None


def _pieces(text: str) -> Iterator[str]:
    """The text cut between words, so that lists of words stay small."""
    start = 0
    while start + PIECE_CHARACTERS < len(text):
        seam = _SEAM.search(text, start + PIECE_CHARACTERS)
        end = seam.start() if seam else len(text)
        yield text[start:end]
        start = end
    yield text[start:]


def _words(text: str) -> list[str]:
    if not text.isascii() and _IS_WITHOUT_BLANKS.search(text):
        return list(_WORD.findall(text))
    return text.split()


def _coded(texts: list[str]) -> tuple[Codes, Lengths]:
    """A number for each text, from 0, and the length of each."""
    distinct = dict.fromkeys(texts)
    numbers = dict(zip(distinct, range(len(distinct)), strict=True))
    codes = np.fromiter(map(numbers.__getitem__, texts), np.int64, len(texts))
    return codes, np.fromiter(map(len, distinct), np.int64, len(distinct))[codes]


def _lengthen(phrases: Codes, words: Codes, num_words: int) -> Codes:
    """Codes of the phrases that are one word longer."""
    if int(phrases.max()) >= 2**62 // num_words:
        phrases = np.unique(phrases, return_inverse=True)[1]
    return phrases[:-1] * num_words + words[len(words) - len(phrases) + 1 :]


def _is_repeated(codes: Codes) -> Flags:
    """Whether the same stood before."""
    distinct, counts = np.unique(codes, return_counts=True)
    is_repeated = _is_among(codes, distinct[counts > 1])
    places = np.flatnonzero(is_repeated)
    is_repeated[places[np.unique(codes[places], return_index=True)[1]]] = False
    return is_repeated


def _is_most_frequent(phrases: Codes, lengths: Lengths) -> Flags:
    """Whether it is the most frequent phrase; of equally frequent ones, the longest."""
    distinct, counts = np.unique(phrases, return_counts=True)
    most = counts.max()
    is_candidate = _is_among(phrases, distinct[counts == most] if most > 1 else distinct[:0])
    size = len(lengths) - len(phrases) + 1
    ends = np.concatenate([[0], lengths.cumsum()])
    longest = ((ends[size:] - ends[:-size]) * is_candidate).argmax()
    is_most_frequent: Flags = is_candidate & (phrases == phrases[longest])
    return is_most_frequent


def _is_among(codes: Codes, wanted: Codes) -> Flags:
    if not len(wanted):
        return np.zeros(len(codes), dtype=np.bool_)
    places = wanted.searchsorted(codes).clip(max=len(wanted) - 1)
    is_among: Flags = wanted[places] == codes
    return is_among


def _covered(starts: Flags, size: int) -> Flags:
    """Which words belong to a phrase that begins at one of the starts."""
    covered = np.zeros(len(starts) + size - 1, dtype=np.bool_)
    for shift in range(size):
        covered[shift : shift + len(starts)] |= starts
    return covered


def _share(is_counted: Flags, lengths: Lengths) -> float:
    return float(lengths[is_counted].sum() / max(1, lengths.sum()))
