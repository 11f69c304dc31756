"""Sequences laid into rows: what the encoder reads.

Letters: B rows, L positions in a row, S sequences, R runs (sequences and stretches of padding).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import RequestError

Tokens = NDArray[Any]


@dataclass(frozen=True)
class Runs:
    """Where attention starts anew, for kernels that read a batch as one stream of tokens.

    Attributes:
        offsets_R1: int32, starts of the runs in the flattened batch, then its end. The end is
            repeated up to a power of two, so that compiled kernels see few different shapes.
        max_length: no run is longer, in tokens.
    """

    offsets_R1: Tensor
    max_length: int

    def of(self, positions_M: Tensor) -> "Runs":
        """Where those of each run lie among the ascending `positions_M` of the flattened batch.

        Positions may repeat, so only their number bounds how many are in one run.
        """
        offsets_R1 = self.offsets_R1.to(positions_M.dtype)
        return Runs(torch.searchsorted(positions_M, offsets_R1, out_int32=True), len(positions_M))


@dataclass(frozen=True)
class Batch:
    """Rows of tokens; several sequences share a row and never attend to each other.

    Attributes:
        token_ids_BL: int64, padded with the padding id.
        sequence_ids_BL: int64, sequences numbered from 1 over the whole batch; 0 = padding.
        positions_BL: int64, position inside its sequence.
        num_sequences: how many sequences the batch holds.
        known_runs: computed beforehand where finding them would wait for the device.
    """

    token_ids_BL: Tensor
    sequence_ids_BL: Tensor
    positions_BL: Tensor
    num_sequences: int
    known_runs: Runs | None = None

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on `device`; its runs are found before it leaves the CPU."""
        device = torch.device(device)
        runs = self.known_runs
        if device.type != "cpu":
            runs = self.runs
            runs = Runs(runs.offsets_R1.to(device, non_blocking=True), runs.max_length)
        return Batch(
            self.token_ids_BL.to(device, non_blocking=True),
            self.sequence_ids_BL.to(device, non_blocking=True),
            self.positions_BL.to(device, non_blocking=True),
            self.num_sequences,
            runs,
        )

    @property
    def runs(self) -> Runs:
        """Starts of the sequences and of the stretches of padding in the flattened batch."""
        return self.known_runs or find_runs(self.sequence_ids_BL)

    @property
    def cu_seqlens_S1(self) -> Tensor:
        """The runs' offsets under the name that variable-length kernels use."""
        return self.runs.offsets_R1

    @property
    def max_seq_len(self) -> int:
        """No run is longer, in tokens."""
        return self.runs.max_length

    @property
    def num_tokens(self) -> int:
        """Positions that are not padding."""
        return int((self.sequence_ids_BL > 0).sum())


def find_runs(sequence_ids_BL: Tensor) -> Runs:
    """Where the sequence id changes or a row begins; cost one pass over the batch."""
    starts_BL = torch.ones_like(sequence_ids_BL, dtype=torch.bool)
    starts_BL[:, 1:] = sequence_ids_BL[:, 1:] != sequence_ids_BL[:, :-1]
    starts_R = starts_BL.flatten().nonzero().flatten()
    num_offsets = 1 << len(starts_R).bit_length()
    offsets_R1 = torch.full((num_offsets,), sequence_ids_BL.numel(), dtype=torch.int32)
    offsets_R1[: len(starts_R)] = starts_R.to(torch.int32)
    return Runs(offsets_R1.to(sequence_ids_BL.device), sequence_ids_BL.shape[1])


def batch_from_rows(
    rows: Sequence[Sequence[Tokens]], *, row_tokens: int, cls_id: int, sep_id: int, pad_id: int
) -> Batch:
    """The batch whose row i holds the pieces ``rows[i]``, each as [CLS] piece [SEP].

    Args:
        rows: raw ids without special tokens; sequences are numbered in this order.
        row_tokens: length of a row; what the pieces leave is padding.
        cls_id: goes before each piece.
        sep_id: goes after each piece.
        pad_id: fills the rows.

    Raises:
        RequestError: the pieces of a row do not fit into it.
    """
    frame = _Frame(len(rows), row_tokens, pad_id)
    sequence_id = 0
    for index, pieces in enumerate(rows):
        column = 0
        for piece in pieces:
            sequence_id += 1
            column = frame.place(piece, index, column, sequence_id, cls_id, sep_id)
    return frame.batch(sequence_id)


def batch_from_sequences(
    sequences: Sequence[Tokens],
    *,
    row_tokens: int | None,
    cls_id: int,
    sep_id: int,
    pad_id: int,
) -> Batch:
    """The batch that packs `sequences` into few rows, longest first, each as [CLS] … [SEP].

    Args:
        sequences: raw ids without special tokens; sequence i gets the id ``i + 1``.
        row_tokens: length of a row; None makes it that of the longest sequence.
        cls_id: goes before each sequence.
        sep_id: goes after each sequence.
        pad_id: fills the rows.

    Raises:
        RequestError: a sequence is longer than a row.
    """
    lengths = [len(sequence) + 2 for sequence in sequences]
    row_tokens = row_tokens or max(lengths, default=2)
    homes, num_rows = _first_fit(lengths, row_tokens)
    frame = _Frame(num_rows, row_tokens, pad_id)
    for index, (sequence, (row, column)) in enumerate(zip(sequences, homes, strict=True)):
        frame.place(sequence, row, column, index + 1, cls_id, sep_id)
    return frame.batch(len(sequences))


def _first_fit(lengths: list[int], row_tokens: int) -> tuple[list[tuple[int, int]], int]:
    """Row and column of each length, longest first into the first row with room."""
    used: list[int] = []
    homes = [(0, 0)] * len(lengths)
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = lengths[index]
        row = next((r for r, taken in enumerate(used) if taken + length <= row_tokens), len(used))
        if row == len(used):
            used.append(0)
        homes[index] = (row, used[row])
        used[row] += length
    return homes, len(used)


class _Frame:
    """Rows being filled, as numpy arrays."""

    def __init__(self, num_rows: int, row_tokens: int, pad_id: int) -> None:
        self.token_ids_BL = np.full((num_rows, row_tokens), pad_id, dtype=np.int64)
        self.sequence_ids_BL = np.zeros((num_rows, row_tokens), dtype=np.int64)
        self.positions_BL = np.zeros((num_rows, row_tokens), dtype=np.int64)

    def place(
        self, piece: Tokens, row: int, column: int, sequence_id: int, cls_id: int, sep_id: int
    ) -> int:
        """Writes one sequence with its special tokens; returns the column after it."""
        end = column + len(piece) + 2
        if end > self.token_ids_BL.shape[1]:
            raise RequestError(
                f"a sequence of {len(piece)} tokens with its special tokens ends at {end}, past "
                f"the row's {self.token_ids_BL.shape[1]}; use longer rows or split it"
            )
        self.token_ids_BL[row, column] = cls_id
        self.token_ids_BL[row, column + 1 : end - 1] = piece
        self.token_ids_BL[row, end - 1] = sep_id
        self.sequence_ids_BL[row, column:end] = sequence_id
        self.positions_BL[row, column:end] = np.arange(end - column)
        return end

    def batch(self, num_sequences: int) -> Batch:
        """The filled rows as tensors on the CPU."""
        return Batch(
            torch.from_numpy(self.token_ids_BL),
            torch.from_numpy(self.sequence_ids_BL),
            torch.from_numpy(self.positions_BL),
            num_sequences,
        )
