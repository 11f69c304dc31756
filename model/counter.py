"""Random words as a function of what they are for, not of what was drawn before.

Philox 4x64 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") from numpy, whose
raw words are fixed by its published algorithm. Nothing here has a state.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


class Purpose(IntEnum):
    """Uses of random words; two uses never share them. Values are part of every result."""

    ROW_ORDER = 1
    TRAINING_MASK = 2
    VALIDATION_MASK = 3
    TOKEN_DROPOUT = 4
    DRIFT_NULL = 5


def random_words(num_words: int, *, purpose: Purpose, seed: int, epoch: int, index: int) -> Words:
    """`num_words` uniform 64-bit words for item `index` of an epoch; about 20 microseconds.

    Args:
        num_words: how many.
        purpose: what for.
        seed: of the run, 0 <= seed < 2**64.
        epoch: from 0, below 2**32.
        index: of the row or sequence, from 0.
    """
    # The first counter word counts the blocks of one stream, so streams cannot run into each other.
    key = np.array([seed, (purpose << 32) | epoch], dtype=np.uint64)
    generator = np.random.Philox(key=key, counter=[0, index, 0, 0])
    return np.asarray(generator.random_raw(num_words), dtype=np.uint64)


def uniform(words: Words) -> NDArray[np.float64]:
    """Numbers in [0, 1) from random words, one each: their upper 53 bits."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
