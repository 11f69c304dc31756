"""Cuts documents into two disjoint halves, one to ask with and one to be found."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from tasks.evaluate.words import sentence_ends, word_ends

MIN_RECURRENCES = 5  # fewer repeats than this is coincidence, whatever fraction they are


def cut_in_halves(text: str, *, min_words: int) -> tuple[str, str] | None:
    """The two halves of a document, each with at least `min_words` words, or None if too short.

    The cut is the end of the sentence nearest the middle, counted in words. Where no sentence
    ends far enough from both sides, it is behind the middle word. The halves share no character,
    and all words of the text are in one of them.
    """
    ends = word_ends(text)
    if len(ends) < 2 * min_words:
        return None
    cut = _nearest_to_middle(text, ends, min_words)
    if cut is None:
        cut = ends[len(ends) // 2 - 1]
    return text[:cut].strip(), text[cut:].strip()


def _nearest_to_middle(text: str, ends: Sequence[int], min_words: int) -> int | None:
    best: tuple[int, int] | None = None
    for cut in sentence_ends(text):
        num_before = bisect_right(ends, cut)
        if min_words <= num_before <= len(ends) - min_words:
            off_middle = abs(2 * num_before - len(ends))
            best = min(best or (off_middle, cut), (off_middle, cut))
    return best[1] if best else None


def recurring_lines(texts: Iterable[str], *, num_texts: int, frac: float) -> frozenset[str]:
    """Lines that stand in more than `frac` of the documents: headers, footers, boilerplate.

    Cost: memory of all distinct lines.
    """
    counts = Counter(chain.from_iterable(_distinct_lines(text) for text in texts))
    limit = max(frac * num_texts, MIN_RECURRENCES - 1)
    return frozenset(line for line, count in counts.items() if count > limit)


def without_lines(text: str, lines: frozenset[str]) -> str:
    """The text without the lines that, stripped, are among `lines`."""
    if not lines:
        return text
    return "\n".join(line for line in text.splitlines() if line.strip() not in lines)


def _distinct_lines(text: str) -> set[str]:
    return {stripped for line in text.splitlines() if (stripped := line.strip())}
