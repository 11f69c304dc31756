"""Sequences gathered by length, so that attention on a processor is a few large products.

Letters: N tokens of the flattened batch, S sequences of a block, L its longest, R runs.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.batch import Runs

Int64s = NDArray[np.int64]

# A block of its own costs about as much as so many pairs of positions.
BLOCK_PAIRS = 2**15


@dataclass(frozen=True)
class Block:
    """Sequences of about one length.

    Attributes:
        index_SL: int64, each sequence's tokens in the flattened batch; past its end its last one.
        lengths_S: int64, tokens of each sequence.
        is_full: whether all are as long as the longest.
        is_batch: whether they are the whole flattened batch, in order.
    """

    index_SL: Tensor
    lengths_S: Tensor
    is_full: bool
    is_batch: bool

    @property
    def num_sequences(self) -> int:
        """How many sequences there are."""
        return self.index_SL.shape[0]

    @property
    def length(self) -> int:
        """Tokens of the longest."""
        return self.index_SL.shape[1]

    def take(self, values_N: Tensor) -> Tensor:
        """``values_SL`` of the sequences' tokens, with any further dimensions."""
        shape = (*self.index_SL.shape, *values_N.shape[1:])
        if self.is_batch:
            return values_N.view(shape)
        return values_N.index_select(0, self.index_SL.flatten()).view(shape)

    def without_filling(self, values_SL: Tensor) -> Tensor:
        """The values with zeros past the sequences' ends."""
        if self.is_full:
            return values_SL
        filling_SL = torch.arange(self.length) >= self.lengths_S[:, None]
        further = (1,) * (values_SL.ndim - 2)
        return values_SL.masked_fill_(filling_SL.view(*filling_SL.shape, *further), 0)


@dataclass(frozen=True)
class Blocks:
    """A batch's sequences, and its stretches of padding, each in one block.

    Attributes:
        blocks: the longest sequences first.
        home_N: int64, where each token stands among the blocks' tokens, block after block.
    """

    blocks: tuple[Block, ...]
    home_N: Tensor

    def back_home(self, parts: list[Tensor]) -> Tensor:
        """``values_N`` in the batch's order, from the blocks' flattened values."""
        if self.blocks[0].is_batch:
            return parts[0]
        return torch.cat(parts).index_select(0, self.home_N)


def find_blocks(runs: Runs) -> Blocks:
    """Sorts the runs of a batch on the CPU into blocks; cost: one pass over its tokens."""
    offsets_R1 = np.unique(runs.offsets_R1.numpy()).astype(np.int64)
    starts_R, lengths_R = offsets_R1[:-1], np.diff(offsets_R1)
    order_R = np.argsort(-lengths_R, kind="stable")
    home_N = np.empty(offsets_R1[-1], np.int64)
    blocks: list[Block] = []
    num_placed = 0
    for members_S in np.split(order_R, _cuts(lengths_R[order_R])):
        index_SL, inside_SL = _places(starts_R[members_S], lengths_R[members_S])
        home_N[index_SL[inside_SL]] = num_placed + np.flatnonzero(inside_SL)
        num_placed += index_SL.size
        is_full = bool(inside_SL.all())
        is_batch = is_full and len(members_S) == len(order_R)
        lengths_S = torch.from_numpy(lengths_R[members_S])
        blocks.append(Block(torch.from_numpy(index_SL), lengths_S, is_full, is_batch))
    return Blocks(tuple(blocks), torch.from_numpy(home_N))


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


def _places(starts_S: Int64s, lengths_S: Int64s) -> tuple[Int64s, NDArray[np.bool_]]:
    """Index of every place of the sequences, and whether it lies inside its sequence."""
    steps_L = np.arange(lengths_S.max())
    index_SL = starts_S[:, None] + np.minimum(steps_L, lengths_S[:, None] - 1)
    return index_SL, steps_L < lengths_S[:, None]
