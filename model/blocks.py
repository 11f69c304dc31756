"""Sequences gathered by length, so that attention on a processor is a few large products.

Letters: S sequences of a block, R runs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.batch import Runs

Int64s = NDArray[np.int64]

# A block of its own costs about as much as so many pairs of positions.
BLOCK_PAIRS = 2**15


@dataclass(frozen=True)
class Extents:
    """Where each of some sequences lies among tokens in a row.

    Attributes:
        starts_S: int64, the first token of each.
        lengths_S: int64, how many it has.
    """

    starts_S: Int64s
    lengths_S: Int64s

    def __len__(self) -> int:
        return len(self.starts_S)

    @property
    def longest(self) -> int:
        """Tokens of the longest."""
        return int(self.lengths_S.max())

    @property
    def are_even(self) -> bool:
        """Whether all have the same length."""
        return bool((self.lengths_S == self.lengths_S[0]).all())


def find_blocks(runs: Runs) -> tuple[Extents, ...]:
    """The batch's sequences, and its stretches of padding, each in one block of about one length.

    The longest come first. Cost: one sort of the runs, which are on the CPU.
    """
    offsets_R1 = np.unique(runs.offsets_R1.numpy()).astype(np.int64)
    starts_R, lengths_R = offsets_R1[:-1], np.diff(offsets_R1)
    order_R = np.argsort(-lengths_R, kind="stable")
    blocks = np.split(order_R, _cuts(lengths_R[order_R]))
    return tuple(Extents(starts_R[block_S], lengths_R[block_S]) for block_S in blocks)


def _cuts(lengths_R: Int64s) -> list[int]:
    """Where to cut lengths that fall, so that what is cut off is worth a block of its own.

    From each longest sequence on, the cut is where it saves the most pairs of positions.
    """
    cuts: list[int] = []
    first = 0
    while first < len(lengths_R):
        rest_R = lengths_R[first:]
        num_shorter_R = len(rest_R) - np.arange(len(rest_R))
        saved_R = (rest_R[0] ** 2 - rest_R**2) * num_shorter_R
        best = int(saved_R.argmax())
        if saved_R[best] < BLOCK_PAIRS:
            break
        first += best
        cuts.append(first)
    return cuts
