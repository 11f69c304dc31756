"""Which tokens of a row the model has to guess, and what it sees in their place.

Letters: L positions of a row, P of them text, W words, M masked positions, V vocabulary.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.config import Sizes
from model.counter import Purpose, Words, random_words
from model.errors import RequestError

SHARES = (0.8, 0.1, 0.1)
"""Shown as [MASK], as another token, as it is: Devlin et al. 2019 (BERT), section 3.1."""

TokenIds = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class WordJoins:
    """Where words go on from one token to the next.

    Token i + 1 of a text belongs to the word of token i where the first flag of one and the
    second flag of the other both say so: ``ends_inside_V[id_i] & starts_inside_V[id_(i + 1)]``.

    Attributes:
        starts_inside_V: bool, ids whose text may go on with the word before it.
        ends_inside_V: bool, ids after whose text a word may go on.
    """

    starts_inside_V: Flags
    ends_inside_V: Flags


@dataclass(frozen=True, kw_only=True)
class Masking:
    """Which part of the text is masked and what is shown in its place.

    Attributes:
        mask_frac: part of the tokens at the beginning of the run.
        final_mask_frac: the same at its end, in a straight line in between; None = no change.
        shares: parts of the masked tokens shown as [MASK], as another token and as they are.
        joins: masks whole words, which are told by this; None = every token for itself.

    Raises:
        RequestError: the parts are not above 0 and below 1, or the shares are no parts of 1.
    """

    mask_frac: float
    final_mask_frac: float | None = None
    shares: tuple[float, float, float] = SHARES
    joins: WordJoins | None = None

    def __post_init__(self) -> None:
        for frac in (self.mask_frac, self._last_frac):
            if not 0 < frac < 1:
                raise RequestError(
                    f"pretrain.mask_frac or final_mask_frac = {frac} must be above 0 and below 1"
                )
        if not (min(self.shares) >= 0 and abs(sum(self.shares) - 1) <= 1e-6):
            raise RequestError(
                f"pretrain.mask_shares = {self.shares} must be three parts of 1, none negative"
            )

    def frac_at(self, progress: float) -> float:
        """Part of the tokens that is masked at `progress`: 0 in the first update, 1 in the last."""
        first, last = self.mask_frac, self._last_frac
        frac = (1.0 - progress) * first + progress * last
        return max(min(first, last), min(max(first, last), frac))  # rounding leads out of it

    @property
    def max_frac(self) -> float:
        """No update of the run masks a larger part."""
        return max(self.mask_frac, self._last_frac)

    @property
    def _last_frac(self) -> float:
        return self.mask_frac if self.final_mask_frac is None else self.final_mask_frac


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
    config: Sizes,
    masking: Masking,
    *,
    mask_frac: float,
    seed: int,
    epoch: int,
    row: int,
) -> MaskedRow:
    """Chooses `mask_frac` of the row's text and disguises it as `masking` says.

    A function of the seed, the epoch, the row and the part alone: workers, ranks and batches do
    not matter. Special tokens are neither chosen nor put in; a row without text stays as it is.

    Args:
        token_ids_L: int64, the row with its special tokens and padding.
        config: for the special ids and the vocabulary.
        masking: the shares, and whether whole words are chosen.
        mask_frac: what `masking.frac_at` says of this update.
        seed: of the run.
        epoch: from 0.
        row: its number in the split.
    """
    length = len(token_ids_L)
    words = random_words(
        2 * length, purpose=Purpose.TRAINING_MASK, seed=seed, epoch=epoch, index=row
    )
    positions_M = _choose(token_ids_L, config, mask_frac, words[:length], masking.joins)
    targets_M = token_ids_L[positions_M]
    shown_M = _disguise(targets_M, config, words[length:][positions_M], masking.shares)
    seen_L = token_ids_L.copy()
    seen_L[positions_M] = shown_M
    return MaskedRow(seen_L, positions_M, targets_M)


def mask_for_validation(
    token_ids_L: TokenIds, config: Sizes, *, mask_frac: float, seed: int, row: int
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
    token_ids_L: TokenIds,
    config: Sizes,
    mask_frac: float,
    words_L: Words,
    joins: WordJoins | None = None,
) -> TokenIds:
    """The places of text whose words are smallest: every set of that size is equally likely."""
    maskable_P = np.flatnonzero(~np.isin(token_ids_L, config.special_ids))
    chosen = num_masked(len(maskable_P), mask_frac)
    if joins is not None:
        whole_M = _choose_words(token_ids_L, maskable_P, chosen, words_L, joins)
        if len(whole_M):
            return whole_M  # else every word is larger than the row's share: tokens, then
    order_P = np.argsort(words_L[maskable_P], kind="stable")
    return np.sort(maskable_P[order_P[:chosen]])


def _choose_words(
    token_ids_L: TokenIds, maskable_P: TokenIds, room: int, words_L: Words, joins: WordJoins
) -> TokenIds:
    """The places of whole words in random order, without those that `room` has no place for.

    A word's turn is decided by the random word of its first token, so long words come no sooner.
    The last few places go to short words: with words of one to four tokens, those of one are
    taken 5 % more often than the share in a row of 400 tokens, and less the longer the row.
    """
    ids_P = token_ids_L[maskable_P]
    is_first_P = np.ones(len(ids_P), dtype=np.bool_)
    is_first_P[1:] = ~(
        (np.diff(maskable_P) == 1)
        & joins.ends_inside_V[ids_P[:-1]]
        & joins.starts_inside_V[ids_P[1:]]
    )
    starts_W = np.flatnonzero(is_first_P)
    sizes_W = np.diff(starts_W, append=len(ids_P))
    order_W = np.argsort(words_L[maskable_P[starts_W]], kind="stable")
    is_chosen_W = np.zeros(len(starts_W), dtype=np.bool_)
    is_chosen_W[_that_fit(order_W, sizes_W, room)] = True
    return maskable_P[np.repeat(is_chosen_W, sizes_W)]


def _that_fit(order_W: TokenIds, sizes_W: TokenIds, room: int) -> TokenIds:
    """Takes words in order, each that still fits into `room`, until none does."""
    taken: list[TokenIds] = []
    while len(order_W := order_W[sizes_W[order_W] <= room]):
        totals = np.cumsum(sizes_W[order_W])
        num_fitting = int(np.searchsorted(totals, room, side="right"))
        taken.append(order_W[:num_fitting])
        room -= int(totals[num_fitting - 1])
        order_W = order_W[num_fitting:]
    return np.concatenate([np.zeros(0, dtype=np.int64), *taken])


def _disguise(
    targets_M: TokenIds, config: Sizes, words_M: Words, shares: tuple[float, float, float]
) -> TokenIds:
    """What is shown: the upper half of a word says how, the lower half which other token."""
    how_M = (words_M >> np.uint64(32)).astype(np.float64) / 2.0**32
    special_ids = sorted(set(config.special_ids))
    num_text_ids = np.uint64(config.vocab_size - len(special_ids))
    other_M = ((words_M & np.uint64(0xFFFFFFFF)) % num_text_ids).astype(np.int64)
    for special_id in special_ids:  # counting past each of them leaves the text ids, evenly
        other_M += other_M >= special_id
    as_mask, _, as_is = shares
    shown_M = np.where(how_M < as_mask, config.mask_id, other_M)
    return np.where(how_M >= 1.0 - as_is, targets_M, shown_M).astype(np.int64)
