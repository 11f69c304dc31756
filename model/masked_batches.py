"""Masked batches of packed rows: what update number n learns from, and what validation asks.

Letters: B rows, L positions in a row, M masked positions.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from model.batch import Batch, Tokens, batch_from_rows
from model.config import EncoderConfig
from model.errors import RequestError
from model.masking import MaskedRow, Masking, mask_for_training, mask_for_validation, num_masked
from model.order import BatchRamp, permute, rows_at_places
from model.prediction_loss import IGNORED

Item = TypeVar("Item")


class Rows(Protocol):
    """Packed rows that can be read in any order."""

    @property
    def num_rows(self) -> int:
        """How many rows there are."""

    def row(self, row: int) -> Sequence[Tokens]:
        """The pieces in a row: raw token ids without special tokens."""


@dataclass(frozen=True)
class MaskedBatch:
    """Rows with gaps and what belongs into them.

    Attributes:
        batch: what the model sees.
        positions_M: int64, places of the gaps in the flattened batch.
        targets_M: int64, the tokens that stood there; `IGNORED` where M was filled up.
        num_targets: how many are not `IGNORED`.
        num_tokens: positions that are not padding.
    """

    batch: Batch
    positions_M: Tensor
    targets_M: Tensor
    num_targets: int
    num_tokens: int

    def to(self, device: torch.device) -> "MaskedBatch":
        """The same on `device`; from the CPU the copies do not wait for the device."""
        return replace(
            self,
            batch=self.batch.to(device),
            positions_M=self.positions_M.to(device, non_blocking=True),
            targets_M=self.targets_M.to(device, non_blocking=True),
        )


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """The training split as a function from the step to its batches.

    All ranks of a run together learn from the same rows under the same masks as one alone.

    Attributes:
        rows: the packed rows.
        config: for the special ids and the vocabulary.
        row_tokens: length of a row.
        ramp: how many rows each update takes, all ranks together.
        max_steps: updates of the run, over which the masked part changes.
        micro_rows: rows that a rank computes at once.
        masking: how much of the text is masked, and how.
        seed: of order and masks.
        fixed_shapes: fill M up to what full rows would have, for compiled models.
        rank: which share of an update is made here, from 0.
        num_ranks: how many share it.

    Raises:
        RequestError: the smallest update has not a row for every rank.
    """

    rows: Rows
    config: EncoderConfig
    row_tokens: int
    ramp: BatchRamp
    max_steps: int
    micro_rows: int
    masking: Masking
    seed: int
    fixed_shapes: bool = False
    rank: int = 0
    num_ranks: int = 1

    def __post_init__(self) -> None:
        assert 0 <= self.rank < self.num_ranks, f"no rank {self.rank} of {self.num_ranks}"
        if self.ramp.fewest_rows < self.num_ranks:
            raise RequestError(
                f"an update of {self.ramp.fewest_rows} rows cannot be shared by {self.num_ranks} "
                "processes; raise pretrain.rows_per_step and pretrain.initial_rows_per_step, or "
                "start fewer processes"
            )

    def num_rows_in(self, step: int) -> int:
        """Rows in update `step` (from 0), all ranks together."""
        return self.ramp.rows_at(step)

    def mask_frac_at(self, step: int) -> float:
        """Part of the text that update `step` (from 0) masks; the last one has the final part."""
        return self.masking.frac_at(min(1.0, step / max(1, self.max_steps - 1)))

    def chosen(self, step: int, num_skipped_rows: int = 0) -> list[tuple[int, int]]:
        """Epoch and row of all that update `step` learns from, all ranks together, in order.

        Args:
            step: from 0.
            num_skipped_rows: rows that the run has passed over before this update.
        """
        return self._at(range(self.num_rows_in(step)), step, num_skipped_rows)

    def batches(self, step: int, num_skipped_rows: int = 0) -> list[MaskedBatch]:
        """What this rank learns from in update `step`: at least one row.

        Depends on the arguments alone, not on what ran before. A batch has no targets where its
        rows have no text that can be masked.

        Args:
            step: from 0.
            num_skipped_rows: rows that the run has passed over before this update.
        """
        chosen = self._at(self._share(self.num_rows_in(step)), step, num_skipped_rows)
        mask_frac = self.mask_frac_at(step)
        return [self._masked(part, mask_frac) for part in _parts(chosen, self.micro_rows)]

    def _share(self, num_rows: int) -> range:
        """This rank's part of an update; the first ranks have one more where it is uneven."""
        share, more = divmod(num_rows, self.num_ranks)
        begin = self.rank * share + min(self.rank, more)
        return range(begin, begin + share + (self.rank < more))

    def _at(self, places: range, step: int, num_skipped_rows: int) -> list[tuple[int, int]]:
        """Epoch and row of these places, counted from the first one of the update."""
        first = self.ramp.rows_before(step) + num_skipped_rows
        inside = range(first + places.start, first + places.stop)
        return rows_at_places(inside, self.rows.num_rows, seed=self.seed)

    def _masked(self, chosen: Sequence[tuple[int, int]], mask_frac: float) -> MaskedBatch:
        batch = _batch([self.rows.row(row) for _, row in chosen], self.config, self.row_tokens)
        masked = [
            mask_for_training(
                token_ids_L,
                self.config,
                self.masking,
                mask_frac=mask_frac,
                seed=self.seed,
                epoch=epoch,
                row=row,
            )
            for token_ids_L, (epoch, row) in zip(batch.token_ids_BL.numpy(), chosen, strict=True)
        ]
        room = len(chosen) * num_masked(self.row_tokens, self.masking.max_frac)
        return _join(batch, masked, room if self.fixed_shapes else 0)


@dataclass(frozen=True, kw_only=True)
class ValidationRows:
    """A fixed part of the validation split under fixed masks.

    Attributes:
        rows: the packed rows.
        config: for the special ids and the vocabulary.
        row_tokens: length of a row.
        max_rows: rows to use where the split has more, drawn once.
        micro_rows: rows computed at once.
        mask_frac: part of the text that is masked.
        seed: of the choice of rows and the masks.
    """

    rows: Rows
    config: EncoderConfig
    row_tokens: int
    max_rows: int
    micro_rows: int
    mask_frac: float
    seed: int

    def batches(self) -> Iterator[MaskedBatch]:
        """The same batches every time."""
        num_rows = min(self.max_rows, self.rows.num_rows)
        order = permute(np.arange(num_rows), self.rows.num_rows, key=(self.seed, 0))
        for chosen in _parts(sorted(order.tolist()), self.micro_rows):
            batch = _batch([self.rows.row(row) for row in chosen], self.config, self.row_tokens)
            masked = [
                mask_for_validation(
                    token_ids_L, self.config, mask_frac=self.mask_frac, seed=self.seed, row=row
                )
                for token_ids_L, row in zip(batch.token_ids_BL.numpy(), chosen, strict=True)
            ]
            yield _join(batch, masked, 0)


@contextmanager
def batches_ahead(
    rows: TrainingRows, step: int, num_skipped_rows: int = 0
) -> Iterator[Callable[[], list[MaskedBatch]]]:
    """A function that returns the batches of one update after another, made one update ahead.

    Args:
        rows: where they come from.
        step: the first update.
        num_skipped_rows: rows that the run has passed over before it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        waiting = [pool.submit(rows.batches, step, num_skipped_rows)]

        def following() -> list[MaskedBatch]:
            nonlocal step
            step += 1
            ready = waiting.pop()
            waiting.append(pool.submit(rows.batches, step, num_skipped_rows))
            return ready.result()

        yield following


def _parts(items: list[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _batch(rows: Sequence[Sequence[Tokens]], config: EncoderConfig, row_tokens: int) -> Batch:
    return batch_from_rows(
        rows,
        row_tokens=row_tokens,
        cls_id=config.cls_id,
        sep_id=config.sep_id,
        pad_id=config.pad_id,
    )


def _join(batch: Batch, masked: Sequence[MaskedRow], room: int) -> MaskedBatch:
    """The rows as one batch whose gaps are filled up to `room` with ignored ones."""
    row_tokens = batch.token_ids_BL.shape[1]
    token_ids_BL = np.stack([row.token_ids_L for row in masked])
    positions_M = np.concatenate([i * row_tokens + row.positions_M for i, row in enumerate(masked)])
    targets_M = np.concatenate([row.targets_M for row in masked])
    num_targets = len(targets_M)
    filling = max(0, room - num_targets)
    return MaskedBatch(
        replace(batch, token_ids_BL=torch.from_numpy(token_ids_BL)),
        torch.from_numpy(np.pad(positions_M, (0, filling))),
        torch.from_numpy(np.pad(targets_M, (0, filling), constant_values=IGNORED)),
        num_targets,
        batch.num_tokens,
    )
