"""Each filter drops what its definition says, and nothing while it is off."""

import inspect
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.ingest.cleaning import filters
from tasks.ingest.cleaning.filters import count_words, why_dropped
from tasks.ingest.filter_config import FilterConfig
from tasks.ingest.reading.records import Reason

EPSILON = 1e-9


def why(text: str, **settings: Any) -> Reason | None:
    return why_dropped(text, FilterConfig(**settings))


@pytest.mark.parametrize("text", ["", "a", "#" * 100, "1 2 3", "again\n" * 1000])
def test_nothing_is_dropped_by_default(text: str) -> None:
    assert why(text) is None


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="min_words must not be above max_words"):
        FilterConfig(min_words=3, max_words=2)
    with pytest.raises(ValidationError):
        FilterConfig(max_digit_frac=1.5)
    with pytest.raises(ValidationError):
        FilterConfig(no_such_filter=1)
    assert FilterConfig().model_dump() == dict.fromkeys(FilterConfig.model_fields)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("", 0),
        (" \n", 0),
        ("It's  a\tplain\nline.", 4),
        ("你好世界", 4),
        ("我用 Python3 写。", 5),  # the full stop stands alone
        ("ภาษาไทย", 7),
        ("ที่", 1),  # one consonant and its accents
        ("カタカナ ひらがな", 8),
        ("한국어는 띄어 쓴다", 3),
        ("word " * 100_000, 100_000),
        ("你a" * 100_000, 200_000),
        ("x" * 200_000, 1),
    ],
)
def test_words(text: str, number: int) -> None:
    assert count_words(text) == number


@given(text=st.text("ab \n你ไิ", max_size=60))
def test_words_are_the_same_in_a_long_text(text: str) -> None:
    padding = "pad " * 40_000
    assert count_words(padding + text) == 40_000 + count_words(text)


def test_number_of_words() -> None:
    text = "one two three"
    assert why(text, min_words=3, max_words=3) is None
    assert why(text, min_words=4) is Reason.TOO_FEW_WORDS
    assert why(text, max_words=2) is Reason.TOO_MANY_WORDS
    assert why("", min_words=1) is Reason.TOO_FEW_WORDS


@pytest.mark.parametrize("text", ["#a #b c d", "a... b c… d"])
def test_symbols(text: str) -> None:
    assert why(text, max_symbols_per_word=0.5) is None
    assert why(text, max_symbols_per_word=0.49) is Reason.TOO_MANY_SYMBOLS


def test_symbols_of_two_kinds_are_not_added_up() -> None:
    assert why("#a b... c d", max_symbols_per_word=0.25) is None


@pytest.mark.parametrize("text", ["ab 12\n cd", "añ १२\u3000cd", "añ 1२ cd"])
def test_digits(text: str) -> None:
    assert why(text, max_digit_frac=1 / 3) is None
    assert why(text, max_digit_frac=0.33) is Reason.TOO_MANY_DIGITS


def repeated_lines(text: str) -> float:
    seen: set[str] = set()
    repeated = total = 0
    for line in map(str.strip, text.split("\n")):
        total += len(line)
        repeated += len(line) * (line in seen)
        seen.add(line)
    return repeated / max(1, total)


def covered(words: list[str], starts: set[int], size: int) -> float:
    places = {start + shift for start in starts for shift in range(size)}
    return sum(len(words[place]) for place in places) / max(1, len("".join(words)))


def top_phrases(words: list[str], size: int) -> float:
    phrases = [tuple(words[n : n + size]) for n in range(len(words) - size + 1)]
    counts = Counter(phrases)
    most = max(counts.values(), default=0)
    if most < 2:
        return 0
    top = max(
        (phrase for phrase in phrases if counts[phrase] == most), key=lambda p: len("".join(p))
    )
    return covered(words, {n for n, phrase in enumerate(phrases) if phrase == top}, size)


def repeated_phrases(words: list[str], size: int) -> float:
    phrases = [tuple(words[n : n + size]) for n in range(len(words) - size + 1)]
    return covered(words, {n for n, phrase in enumerate(phrases) if phrase in phrases[:n]}, size)


def assert_limit(text: str, setting: str, share: float) -> None:
    """The filter drops just above the share, and not at it."""
    assert why(text, **{setting: min(1, share + EPSILON)}) is None
    if share > EPSILON:
        assert why(text, **{setting: share - EPSILON}) is Reason.REPETITIVE


@given(lines=st.lists(st.sampled_from(["", "a", " a", "bbb", "c c", "dddddd"]), max_size=12))
def test_repeated_lines(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert_limit(text, "max_repeated_line_frac", repeated_lines(text))


@given(words=st.lists(st.sampled_from(["a", "bb", "ccc", "dddd", "你"]), max_size=40))
def test_phrases(words: list[str]) -> None:
    text = " ".join(words)
    top = max(top_phrases(words, size) for size in (2, 3, 4))
    assert_limit(text, "max_top_ngram_frac", top)
    assert_limit(text, "max_repeated_ngram_frac", repeated_phrases(words, 5))


@given(words=st.lists(st.sampled_from("ab"), min_size=5, max_size=40))
def test_longer_repeated_phrases_never_cover_more(words: list[str]) -> None:
    shares = [repeated_phrases(words, size) for size in range(5, 11)]
    assert shares == sorted(shares, reverse=True)


def test_phrases_of_many_distinct_words() -> None:
    """Enough of them that phrases must be numbered anew on the way."""
    words = [f"w{number}" for number in range(40_000)]
    repeated = words + words[:20_000]
    text = " ".join(repeated)
    assert len(text) < 2**19
    share = len("".join(words[:20_000])) / len("".join(repeated))
    assert_limit(text, "max_repeated_ngram_frac", share)
    assert why(" ".join(words), max_top_ngram_frac=0, max_repeated_ngram_frac=0) is None


GOPHER = {
    "min_words": 50,
    "max_words": 100_000,
    "max_symbols_per_word": 0.1,
    "max_repeated_line_frac": 0.2,
    "max_top_ngram_frac": 0.16,
    "max_repeated_ngram_frac": 0.15,
}


def test_prose_passes_the_published_limits_and_spam_does_not() -> None:
    prose = inspect.getdoc(filters)
    assert prose is not None
    assert why(prose, **GOPHER) is None
    assert (
        why(prose + "\nBuy now and save, for this week only!" * 20, **GOPHER) is Reason.REPETITIVE
    )
    assert why("Buy it now. " * 50, **GOPHER) is Reason.REPETITIVE


def test_repetition_is_judged_in_the_beginning() -> None:
    words = " ".join(f"w{number}" for number in range(100_000))
    assert why(words + " a b c d e" * 200_000, **GOPHER | {"max_words": None}) is None
    assert why("a b c d e " * 200_000 + words, **GOPHER | {"max_words": None}) is Reason.REPETITIVE


@pytest.mark.parametrize("unit", ["a ", "a\n", "ab", "你", "1", "# ", "a b c d e f "])
def test_hostile_texts_take_little_time(unit: str) -> None:
    every = FilterConfig(
        min_words=1,
        max_symbols_per_word=100,
        max_digit_frac=1,
        max_repeated_line_frac=1,
        max_top_ngram_frac=1,
        max_repeated_ngram_frac=1,
    )
    start = time.process_time()
    assert why_dropped(unit * (2**21 // len(unit)), every) is None
    assert time.process_time() - start < 4
