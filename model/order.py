"""Which rows an update takes, in an order that is computed and not stored.

The order of an epoch is a permutation: a Feistel network over the smallest even number of bits
that holds all rows, walked until it lands inside (Black & Rogaway 2002, "Ciphers with arbitrary
finite domains"). Any place in any epoch costs the same, so training resumes anywhere at once.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.counter import Purpose, Words, random_words
from model.errors import RequestError

NUM_ROUNDS = 6

Indices = NDArray[np.int64]


def permute(index: int | Indices, num_rows: int, *, key: tuple[int, int]) -> Indices:
    """The rows at places `index` of the permutation of ``0 … num_rows - 1`` that `key` names.

    Args:
        index: one place or an array of them, each in ``0 <= index < num_rows``.
        num_rows: at least 1.
        key: seed and epoch.

    Cost: fewer than four walks of six rounds on average, whatever `num_rows` is.
    """
    seed, epoch = key
    keys = random_words(NUM_ROUNDS, purpose=Purpose.ROW_ORDER, seed=seed, epoch=epoch, index=0)
    half_bits = max(1, (int(num_rows - 1).bit_length() + 1) // 2)
    rows = _encipher(np.atleast_1d(np.asarray(index, dtype=np.uint64)), keys, half_bits)
    while (outside := rows >= num_rows).any():
        rows[outside] = _encipher(rows[outside], keys, half_bits)
    return rows.astype(np.int64).reshape(np.shape(index))


def rows_at_places(places: range, num_rows: int, *, seed: int) -> list[tuple[int, int]]:
    """Epoch and row of each of these places in the endless sequence of epochs, in order.

    Epochs follow each other without a gap: the places of an update may take the end of one and
    the beginning of the next.

    Args:
        places: rows counted from the first of the run, below 2**63; step 1.
        num_rows: in an epoch, at least 1.
        seed: of the run.
    """
    places_K = np.arange(places.start, places.stop, dtype=np.int64)
    chosen: list[tuple[int, int]] = []
    for epoch in np.unique(places_K // num_rows).tolist():
        inside = places_K[places_K // num_rows == epoch] % num_rows
        chosen += [(epoch, row) for row in permute(inside, num_rows, key=(seed, epoch)).tolist()]
    return chosen


@dataclass(frozen=True, kw_only=True)
class BatchRamp:
    """How many rows each update takes: more and more over the ramp, then always the same.

    Attributes:
        rows_per_step: rows in an update after the ramp.
        initial_rows: rows in the first update; the ramp rises from here in a straight line.
        ramp_steps: updates before the first one of `rows_per_step`; 0 = no ramp.

    Raises:
        RequestError: `initial_rows` is not between 1 and `rows_per_step`.
    """

    rows_per_step: int
    initial_rows: int
    ramp_steps: int

    def __post_init__(self) -> None:
        if not 1 <= self.initial_rows <= self.rows_per_step:
            raise RequestError(
                f"pretrain.initial_rows_per_step = {self.initial_rows} must be between 1 and "
                f"pretrain.rows_per_step = {self.rows_per_step}"
            )

    @property
    def fewest_rows(self) -> int:
        """Rows in the smallest update of the run."""
        return self.initial_rows if self.ramp_steps else self.rows_per_step

    def rows_at(self, step: int) -> int:
        """Rows in update `step` (from 0)."""
        if step >= self.ramp_steps:
            return self.rows_per_step
        growth = self.rows_per_step - self.initial_rows
        return self.initial_rows + growth * step // self.ramp_steps

    def rows_before(self, step: int) -> int:
        """Rows in all updates before update `step` (from 0).

        Cost: the same for every step; the first call adds the ramp up, 10 ns for each of its steps.
        """
        steps_inside = min(step, self.ramp_steps)
        return int(self._rows_before[steps_inside]) + (step - steps_inside) * self.rows_per_step

    @cached_property
    def _rows_before(self) -> Indices:
        """int64 [ramp_steps + 1], the rows before each step of the ramp and before its end."""
        steps = np.arange(self.ramp_steps, dtype=np.int64)
        growth = self.rows_per_step - self.initial_rows
        rows = self.initial_rows + growth * steps // max(1, self.ramp_steps)
        return np.concatenate([[0], np.cumsum(rows)])


def _encipher(values: Words, keys: Words, half_bits: int) -> Words:
    mask = np.uint64((1 << half_bits) - 1)
    shift = np.uint64(half_bits)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << shift) | right


def _mix(words: Words) -> Words:
    """Scatters every bit over the word (the finaliser of SplitMix64, Steele et al. 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
