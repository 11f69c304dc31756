"""Words and sentence ends of text in any script, for cutting documents and for the baselines."""

import re
from collections.abc import Iterator

# Kana and Han, written without spaces: each character is taken as a word, or whole clauses would
# be one.
_KANA_AND_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_KANA_AND_HAN}]|[^\W{_KANA_AND_HAN}]+")

# A sentence ends at a line break, after western punctuation (and closing quotes or brackets) that
# white space follows, or after full-width punctuation, which needs no space.
_CLOSING = r"[\"'\u2019\u201d\u00bb)\]\u300d\u300f\uff09]*"
_SENTENCE_END = re.compile(
    rf"\n+|[.!?\u2026\u0964]+{_CLOSING}\s+|[\u3002\uff01\uff1f]+{_CLOSING}\s*"
)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: runs of letters, digits and underscores."""
    return _WORD.findall(text.lower())


def word_ends(text: str) -> list[int]:
    """Position just after each word, in characters."""
    return [match.end() for match in _WORD.finditer(text)]


def sentence_ends(text: str) -> Iterator[int]:
    """Positions just after each sentence and the white space behind it, in characters.

    A rule of punctuation, not a model of language: an abbreviation such as "e.g. this" counts as
    an end.
    """
    return (match.end() for match in _SENTENCE_END.finditer(text))
