"""Says which tokens are one word written in several ways, so that they can start alike."""

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tasks.token_text import TokenText


def token_kinds(tokenizer: Tokenizer, vocab_size: int) -> NDArray[np.int64]:
    """A number for each token, the same for tokens that differ in case or outer blanks only.

    Args:
        tokenizer: of the encoder.
        vocab_size: ids of the encoder; those that the tokenizer does not use are kinds of their
            own.

    Returns:
        kinds_V: int64 [V], numbered from 0 without a gap, in order of the tokens.
    """
    text = TokenText(tokenizer)
    spelled = [text.spell([token_id]) for token_id in range(vocab_size)]
    places: dict[str, int] = {}
    kinds = [places.setdefault(each.strip().casefold() or each, len(places)) for each in spelled]
    return np.array(kinds, dtype=np.int64)
