"""What the tokens of a vocabulary say by themselves: which end a sentence, which are words.

Letters: V ids of the vocabulary.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tasks.token_text import TokenText

Flags = NDArray[np.bool_]
_SENTENCE_ENDS = (".", "!", "?", "\n", "\r", "\u2028", "\u2029", "\u3002", "\uff01", "\uff1f")
_CLOSING = " \t\"')]}\u2019\u201d\u00bb\u300d\u300f\uff09"
_MIN_BLANK_FRAC = 0.25  # of tokens of letters; fewer where words have no blanks between them


@dataclass(frozen=True)
class Vocabulary:
    """Flags of every id.

    Attributes:
        ends_sentence_V: its text ends in . ! ? or a line break, or their like in Chinese and
            Japanese; closing quotes and brackets may follow. Abbreviations end one too.
        is_word_V: it is letters alone, and where words have blanks between them one is part of it.
    """

    ends_sentence_V: Flags
    is_word_V: Flags


def read_vocabulary(tokenizer: Tokenizer, vocab_size: int) -> Vocabulary:
    """The flags of all ids below `vocab_size`; those that no token has are False."""
    texts = [""] * vocab_size
    spelling = TokenText(tokenizer)
    for token_id in tokenizer.get_vocab().values():
        if token_id < vocab_size:
            texts[token_id] = spelling.spell([token_id])
    ends = np.array([text.rstrip(_CLOSING).endswith(_SENTENCE_ENDS) for text in texts], np.bool_)
    letters = np.array([text.strip().isalpha() for text in texts], np.bool_)
    blanks = np.array([text != text.strip(" ") for text in texts], np.bool_)
    has_blanks = (letters & blanks).sum() >= _MIN_BLANK_FRAC * letters.sum()
    return Vocabulary(ends, letters & blanks if has_blanks else letters)
