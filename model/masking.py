"""Which tokens of a row the model has to guess, and what it sees in their place.

Letters: L positions of a row, M masked positions, V vocabulary.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.config import EncoderConfig
from model.counter import Purpose, random_words

SHOWN_AS_MASK = 0.8  # Devlin et al. 2019, section 3.1; of the rest one half stays, one is random
SHOWN_AS_IS = 0.1

TokenIds = NDArray[np.int64]


@dataclass(frozen=True)
class MaskedRow:
    """One row to train on.

    Attributes:
        token_ids_L: int64, what the model sees.
        positions_M: int64, ascending, the places it has to guess.
        targets_M: int64, the tokens that stood there.
    """

    token_ids_L: TokenIds
    positions_M: TokenIds
    targets_M: TokenIds


def mask_for_training(
    token_ids_L: TokenIds,
    config: EncoderConfig,
    *,
    mask_frac: float,
    seed: int,
    epoch: int,
    row: int,
) -> MaskedRow:
    """Chooses `mask_frac` of the row's text and shows [MASK] for 80 %, another token for 10 %.

    A function of the seed, the epoch and the row alone: workers, ranks and batches do not matter.
    Special tokens are neither chosen nor put in.
    """
    length = len(token_ids_L)
    words = random_words(
        2 * length, purpose=Purpose.TRAINING_MASK, seed=seed, epoch=epoch, index=row
    )
    positions_M = _choose(token_ids_L, config, mask_frac, words[:length])
    targets_M = token_ids_L[positions_M]
    shown_M = _disguise(targets_M, config, words[length:][positions_M])
    seen_L = token_ids_L.copy()
    seen_L[positions_M] = shown_M
    return MaskedRow(seen_L, positions_M, targets_M)


def mask_for_validation(
    token_ids_L: TokenIds, config: EncoderConfig, *, mask_frac: float, seed: int, row: int
) -> MaskedRow:
    """Chooses `mask_frac` of the row's text once and for all and shows [MASK] for all of it.

    No token is left to be seen, so the loss is that of guessing and nothing else.
    """
    words = random_words(
        len(token_ids_L), purpose=Purpose.VALIDATION_MASK, seed=seed, epoch=0, index=row
    )
    positions_M = _choose(token_ids_L, config, mask_frac, words)
    seen_L = token_ids_L.copy()
    seen_L[positions_M] = config.mask_id
    return MaskedRow(seen_L, positions_M, token_ids_L[positions_M])


def num_masked(num_maskable: int, mask_frac: float) -> int:
    """How many of a row's tokens are chosen: the nearest whole number, at least one of any."""
    return min(num_maskable, max(1, round(num_maskable * mask_frac)))


def _choose(
    token_ids_L: TokenIds, config: EncoderConfig, mask_frac: float, words_L: NDArray[np.uint64]
) -> TokenIds:
    """The places of text whose words are smallest: every set of that size is equally likely."""
    maskable_P = np.flatnonzero(~np.isin(token_ids_L, config.special_ids))
    chosen = num_masked(len(maskable_P), mask_frac)
    order_P = np.argsort(words_L[maskable_P], kind="stable")
    return np.sort(maskable_P[order_P[:chosen]])


def _disguise(targets_M: TokenIds, config: EncoderConfig, words_M: NDArray[np.uint64]) -> TokenIds:
    """What is shown: the upper half of a word says how, the lower half which other token."""
    how_M = (words_M >> np.uint64(32)).astype(np.float64) / 2.0**32
    special_ids = sorted(set(config.special_ids))
    num_text_ids = np.uint64(config.vocab_size - len(special_ids))
    other_M = ((words_M & np.uint64(0xFFFFFFFF)) % num_text_ids).astype(np.int64)
    for special_id in special_ids:  # counting past each of them leaves the text ids, evenly
        other_M += other_M >= special_id
    as_is_M = how_M >= 1.0 - SHOWN_AS_IS
    shown_M = np.where(how_M < SHOWN_AS_MASK, config.mask_id, other_M)
    return np.where(as_is_M, targets_M, shown_M).astype(np.int64)
