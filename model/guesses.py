"""A few passages of validation, chosen once, and what a model guesses in their gaps.

Letters: B rows, L positions in a row, M gaps, V vocabulary, C candidates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.batch import Batch
from model.gradients import autocast
from model.masked_batches import MaskedBatch
from model.mlm import MaskedLanguageModel
from model.order import permute

PASSAGE_TOKENS = 40
NUM_GUESSES = 3
DIGITS = 2  # of probabilities: fewer than what another order of summation could change
_NUM_CANDIDATES = 8

Columns = NDArray[np.int64]


@dataclass(frozen=True)
class Passage:
    """Some tokens of one document, as they were before they were masked.

    Attributes:
        token_ids: of text, no special tokens.
        gaps: places in it that the model has to guess, ascending.
        is_beginning: no text of the same sequence comes before.
        is_end: none comes after.
    """

    token_ids: tuple[int, ...]
    gaps: tuple[int, ...]
    is_beginning: bool
    is_end: bool


@dataclass(frozen=True)
class Guessed:
    """What a model says about one gap; probabilities are rounded to `DIGITS`.

    Attributes:
        token_id: what stood there.
        probability: what the model gives it.
        guesses: the likeliest tokens and their probabilities, the best first; those that round
            alike by id.
    """

    token_id: int
    probability: float
    guesses: tuple[tuple[int, float], ...]

    @property
    def is_right(self) -> bool:
        """Whether the best guess is what stood there."""
        return self.guesses[0][0] == self.token_id


@dataclass(frozen=True)
class GuessingTask:
    """Passages and the rows in which a model sees them.

    Attributes:
        passages: what is asked.
        masked: their whole rows, so that the model sees what it sees in validation; its gaps are
            those of the passages, one passage after another.
    """

    passages: tuple[Passage, ...]
    masked: MaskedBatch

    @torch.inference_mode()
    def __call__(
        self, model: MaskedLanguageModel, device: torch.device, precision: torch.dtype
    ) -> list[list[Guessed]]:
        """The model's guesses by passage, in the order of its gaps; one pass over few rows.

        Args:
            model: on `device`.
            device: where to compute.
            precision: of the matrix products.
        """
        masked = self.masked.to(device)
        with autocast(device, precision):
            logits_MV = model(masked.batch, masked.positions_M)
        answers = iter(_answers(logits_MV, masked.targets_M))
        return [[next(answers) for _ in passage.gaps] for passage in self.passages]


def choose_passages(
    batches: Sequence[MaskedBatch], *, num_passages: int, seed: int
) -> GuessingTask:
    """Passages of about `PASSAGE_TOKENS` with at least one gap, as far as possible of many rows.

    Args:
        batches: of validation, at least one, rows of equal length.
        num_passages: at most so many, at least 1.
        seed: of the choice, which depends on nothing else but the batches.
    """
    places = [(batch, row) for batch in batches for row in range(len(batch.batch.token_ids_BL))]
    order = permute(np.arange(min(num_passages, len(places))), len(places), key=(seed, 0))
    rows = [_Row.of(*places[place]) for place in order.tolist()]
    turns = zip_longest(*(row.passages((seed, at)) for at, row in enumerate(rows)))
    found = [
        (at, *passage) for turn in turns for at, passage in enumerate(turn) if passage is not None
    ][:num_passages]
    row_tokens = rows[0].token_ids_L.numel()
    positions = [at * row_tokens + column for at, columns, _ in found for column in columns]
    passages = tuple(passage for _, _, passage in found)
    targets = [passage.token_ids[gap] for passage in passages for gap in passage.gaps]
    batch = _join([row.batch for row in rows])
    positions_M, targets_M = torch.tensor(positions).long(), torch.tensor(targets).long()
    masked = MaskedBatch(batch, positions_M, targets_M, len(targets), batch.num_tokens)
    return GuessingTask(passages, masked)


@dataclass(frozen=True)
class _Row:
    """One row of validation.

    Attributes:
        batch: the row alone, with its gaps.
        token_ids_L: its tokens without gaps.
        is_gap_L: where they are.
    """

    batch: Batch
    token_ids_L: Tensor
    is_gap_L: Tensor

    @classmethod
    def of(cls, masked: MaskedBatch, row: int) -> "_Row":
        batch = masked.batch
        token_ids_N = batch.token_ids_BL.flatten().clone()
        is_gap_N = torch.zeros_like(token_ids_N, dtype=torch.bool)
        positions_M = masked.positions_M[: masked.num_targets]
        token_ids_N[positions_M] = masked.targets_M[: masked.num_targets]
        is_gap_N[positions_M] = True
        alone = replace(
            batch,
            token_ids_BL=batch.token_ids_BL[row : row + 1],
            sequence_ids_BL=batch.sequence_ids_BL[row : row + 1],
            positions_BL=batch.positions_BL[row : row + 1],
            known_runs=None,
        )
        shape = batch.token_ids_BL.shape
        return cls(alone, token_ids_N.view(shape)[row], is_gap_N.view(shape)[row])

    def passages(self, key: tuple[int, int]) -> Iterator[tuple[list[int], Passage]]:
        """The columns of the gaps, and the passage, in the order that `key` names."""
        windows = list(self._windows())
        for number in _shuffled(len(windows), key):
            columns_W, is_beginning, is_end = windows[number]
            is_gap_W = self.is_gap_L.numpy()[columns_W]
            token_ids = tuple(self.token_ids_L.numpy()[columns_W].tolist())
            gaps = tuple(np.flatnonzero(is_gap_W).tolist())
            yield columns_W[is_gap_W].tolist(), Passage(token_ids, gaps, is_beginning, is_end)

    def _windows(self) -> Iterator[tuple[Columns, bool, bool]]:
        """Each sequence without special tokens, in nearly equal parts; those that hold a gap."""
        sequence_ids_L = self.batch.sequence_ids_BL[0].numpy()
        is_gap_L = self.is_gap_L.numpy()
        for sequence_id in np.unique(sequence_ids_L[sequence_ids_L > 0]):
            columns = np.flatnonzero(sequence_ids_L == sequence_id)[1:-1]
            parts = np.array_split(columns, max(1, round(len(columns) / PASSAGE_TOKENS)))
            for number, part in enumerate(parts):
                if is_gap_L[part].any():
                    yield part, number == 0, number == len(parts) - 1


def _shuffled(num_items: int, key: tuple[int, int]) -> list[int]:
    return permute(np.arange(num_items), num_items, key=key).tolist() if num_items else []


def _join(rows: Sequence[Batch]) -> Batch:
    """Single rows as one batch, their sequences numbered anew."""
    sequence_ids, num_sequences = [], 0
    for row in rows:
        _, numbered_BL = torch.unique(row.sequence_ids_BL, return_inverse=True)
        is_text_BL = row.sequence_ids_BL > 0
        numbered_BL = numbered_BL + int(bool(is_text_BL.all()))  # no padding: nothing is 0
        sequence_ids.append(torch.where(is_text_BL, numbered_BL + num_sequences, 0))
        num_sequences += int(numbered_BL.max())
    return Batch(
        torch.cat([row.token_ids_BL for row in rows]),
        torch.cat(sequence_ids),
        torch.cat([row.positions_BL for row in rows]),
        num_sequences,
    )


def _answers(logits_MV: Tensor, targets_M: Tensor) -> Iterator[Guessed]:
    probabilities_MV = logits_MV.float().softmax(dim=-1)
    num_candidates = min(_NUM_CANDIDATES, probabilities_MV.shape[1])
    best_MC, ids_MC = (part.tolist() for part in probabilities_MV.topk(num_candidates, dim=-1))
    given_M = probabilities_MV.gather(1, targets_M[:, None])[:, 0].tolist()
    for target, given, best, ids in zip(targets_M.tolist(), given_M, best_MC, ids_MC, strict=True):
        rounded = [
            (token_id, round(value, DIGITS)) for token_id, value in zip(ids, best, strict=True)
        ]
        ranked = sorted(rounded, key=lambda guess: (-guess[1], guess[0]))
        yield Guessed(target, round(given, DIGITS), tuple(ranked[:NUM_GUESSES]))
