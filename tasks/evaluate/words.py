r"""Words and sentence ends of text in any script, for cutting documents and for the baselines.

Some scripts are written without spaces: Han, kana, and those that Unicode breaks into lines by
dictionary (Line_Break=SA: Thai, Lao, Khmer, Myanmar, Tai Tham and others). There a run between
spaces is a clause, and what its words are only a dictionary knows. So in these scripts each letter,
with the marks it carries, counts as a word when documents are cut, and the baselines, which need
units that mean something, get overlapping pairs of letters.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

import regex

_NO_SPACES = r"[[\p{Han}\p{Hiragana}\p{Katakana}\u30fc\uff70\p{Line_Break=SA}]&&[\p{L}\p{Nl}]]"
# Signs of vowels and tones, and the joiners of Indic and Arabic writing, belong to their letter.
_MARKS = r"[\p{M}\u200c\u200d\uff9e\uff9f]"
_LETTER = rf"{_NO_SPACES}{_MARKS}*+"
_SPACED = rf"[[\p{{L}}\p{{N}}_]--{_NO_SPACES}](?:[[\p{{L}}\p{{N}}_]--{_NO_SPACES}]|{_MARKS})*+"

_ONE_LETTER = regex.compile(_LETTER, regex.VERSION1)
_WORD = regex.compile(rf"{_SPACED}|{_LETTER}", regex.VERSION1)
_RUN = regex.compile(rf"{_SPACED}|(?:{_LETTER})++", regex.VERSION1)

# Latin, Greek and Cyrillic without loose marks: here the standard library finds the same words, and
# several times as fast, which counts where a baseline passes over its texts 40 times.
_PLAIN = re.compile(r"[\0-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u20a0-\u20cf]*")
_PLAIN_WORD = re.compile(r"\w+")

# A sentence ends at a line break, after western punctuation (and closing quotes or brackets) that
# white space follows, or after full-width punctuation, which needs no space.
_CLOSING = r"[\"'\u2019\u201d\u00bb)\]\u300d\u300f\uff09]*"
_SENTENCE_END = regex.compile(
    rf"\n+|[.!?\u2026\u0964]+{_CLOSING}\s+|[\u3002\uff01\uff1f]+{_CLOSING}\s*"
)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: runs of letters with their marks, digits, underscores.

    In scripts without spaces each letter with its marks is a word.
    """
    lowered = text.lower()
    if _PLAIN.fullmatch(lowered):
        return _PLAIN_WORD.findall(lowered)
    words: list[str] = _WORD.findall(lowered)
    return words


def terms_of(text: str) -> list[str]:
    """What the baselines count: words, and in scripts without spaces overlapping pairs of letters.

    A run of n such letters gives n - 1 pairs in order, whatever mix of these scripts it is, and a
    letter alone gives itself; each letter keeps its marks. So every word of two letters is a term,
    as in the bigram analysis that search engines give to Chinese and Japanese (Nie et al. 2000,
    "On the use of words and n-grams for Chinese information retrieval").
    """
    lowered = text.lower()
    if _PLAIN.fullmatch(lowered):
        return _PLAIN_WORD.findall(lowered)
    terms: list[str] = []
    for run in _RUN.findall(lowered):
        letters = _ONE_LETTER.findall(run)
        if len(letters) < 2:
            terms.append(run)
        else:
            terms.extend(first + second for first, second in pairwise(letters))
    return terms


def word_ends(text: str) -> list[int]:
    """Position just after each word, in characters."""
    return [match.end() for match in _WORD.finditer(text)]


def sentence_ends(text: str) -> Iterator[int]:
    """Positions just after each sentence and the white space behind it, in characters.

    A rule of punctuation, not a model of language: an abbreviation such as "e.g. this" counts as
    an end.
    """
    return (match.end() for match in _SENTENCE_END.finditer(text))
