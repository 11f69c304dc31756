"""Masks rare words that both halves of a document share, so that copying names is no help."""

import unicodedata
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate

from tasks.evaluate.words import word_ends, words_of

Halves = tuple[str, str]


def rare_shared_words(
    halves: Sequence[Halves], train_texts: Iterable[str], *, document_frac: float
) -> list[frozenset[str]]:
    """Of each document the word types that both halves have and few training documents do.

    Args:
        halves: the two halves of each document.
        train_texts: the training documents, streamed.
        document_frac: a word is rare if at most this fraction of them has it; those that no
            training document has are rare too.

    Cost: one pass over the training text; memory of the words that halves share.
    """
    shared = [frozenset(words_of(first)) & frozenset(words_of(second)) for first, second in halves]
    asked = frozenset().union(*shared)
    counts: Counter[str] = Counter()
    num_texts = 0
    for text in train_texts:
        num_texts += 1
        counts.update(asked.intersection(words_of(text)))
    most = document_frac * num_texts
    return [frozenset(word for word in words if counts[word] <= most) for words in shared]


def mask_in_one_half(
    halves: Halves, words: Collection[str], *, doc_id: str, seed: int
) -> tuple[str, str]:
    """The halves, each of the words taken out of one of them.

    Which one is decided by a keyed hash of document and word, so that both halves lose about as
    many words, whatever the other words and the order of the corpus.
    """
    from_first = {word for word in words if _is_from_first(doc_id, word, seed)}
    first, second = halves
    return without_words(first, from_first), without_words(second, set(words) - from_first)


def without_words(text: str, words: Collection[str]) -> str:
    """The text without every occurrence of the words, in any case; all else stays.

    Nothing stands in their place, which would be a clue of its own. Only where the letters around
    a word would touch (scripts without blanks) a blank is put between them, else they would make
    a word that nobody wrote.

    Args:
        text: any text.
        words: as `words_of` spells them.
    """
    result: list[str] = []
    for piece in _pieces_around(text, words):
        if result and _is_inside_words(result[-1][-1]) and _is_inside_words(piece[0]):
            result.append(" ")
        result.append(piece)
    return "".join(result)


def _pieces_around(text: str, words: Collection[str]) -> Iterator[str]:
    """What the words leave of the text: the pieces that are not empty, in order."""
    lowered = text.lower()
    starts = list(accumulate((len(letter.lower()) for letter in text), initial=0))
    begin = 0
    for word, end in zip(words_of(lowered), word_ends(lowered), strict=True):
        if word in words:
            # One letter can be two in lower case, so places there are not places here.
            first, last = bisect_right(starts, end - len(word)) - 1, bisect_left(starts, end)
            if begin < first:
                yield text[begin:first]
            begin = last
    if begin < len(text):
        yield text[begin:]


def _is_inside_words(letter: str) -> bool:
    is_mark = unicodedata.category(letter) in ("Mn", "Mc", "Me", "Cf")
    return letter.isalnum() or letter == "_" or is_mark


def _is_from_first(doc_id: str, word: str, seed: int) -> bool:
    key = seed.to_bytes(8, "little")
    digest = blake2b(f"{doc_id}\0{word}".encode(), digest_size=1, key=key).digest()
    return digest[0] % 2 == 0
