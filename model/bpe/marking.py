"""Marks the ends of words in text, as the normalizer of a vocabulary of characters does."""

import re
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np

from model.bpe.characters import SPACE, character_classes
from model.bpe.tokenizer import END_OF_WORD, NO_MARKER


def mark_words(texts: Iterable[str]) -> Iterator[str]:
    """Each text with `END_OF_WORD` before white space and at its end, where a word ends there.

    What is in the text of that character becomes `NO_MARKER`.
    """
    end_of_word = _end_of_word()
    for text in texts:
        yield end_of_word.sub(END_OF_WORD, text.replace(END_OF_WORD, NO_MARKER))


@cache
def _end_of_word() -> re.Pattern[str]:
    """The place after a character that is no space and before one that is, or the end.

    The spaces are named one by one: `re` and `tokenizers` have different ones.
    """
    spaces = "".join(map(chr, np.flatnonzero(character_classes() == SPACE)))
    return re.compile(rf"(?<=[^{spaces}])(?=[{spaces}]|\Z)")
