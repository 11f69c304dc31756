"""Sequences with gaps, each masked by itself, so that no result depends on the company they keep.

Letters: S sequences, M gaps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.batch import Batch, Tokens, batch_from_sequences
from model.config import Sizes
from model.masking import MaskedRow, mask_for_validation


@dataclass(frozen=True)
class GapBatch:
    """Some sequences with gaps as one batch.

    Attributes:
        batch: what the model sees.
        positions_M: int64, places of the gaps in the flattened batch.
        targets_M: int64, the tokens that stood there.
        sequence_M: int64, which of all sequences each gap is in, from 0.
    """

    batch: Batch
    positions_M: Tensor
    targets_M: Tensor
    sequence_M: Tensor


def mask_sequences(
    sequences: Sequence[Tokens], config: Sizes, *, mask_frac: float, seed: int
) -> list[MaskedRow]:
    """Every sequence with `mask_frac` of its text shown as [MASK], at least one token of any.

    A function of the seed, the sequence and its number. Special and unknown tokens stay.

    Args:
        sequences: raw token ids without special tokens.
        config: for the special ids.
        mask_frac: above 0 and below 1.
        seed: of the choice.
    """
    return [
        mask_for_validation(
            sequence.astype(np.int64), config, mask_frac=mask_frac, seed=seed, row=number
        )
        for number, sequence in enumerate(sequences)
    ]


def gap_batches(
    masked: Sequence[MaskedRow],
    config: Sizes,
    *,
    tokens_per_batch: int,
    device: torch.device,
) -> Iterator[GapBatch]:
    """Batches of consecutive sequences, at least one each, of at most `tokens_per_batch` tokens."""
    start = 0
    while start < len(masked):
        end = start + 1
        num_tokens = len(masked[start].token_ids_L) + 2
        while end < len(masked):
            num_tokens += len(masked[end].token_ids_L) + 2
            if num_tokens > tokens_per_batch:
                break
            end += 1
        yield _gap_batch(masked[start:end], start, config, device)
        start = end


def _gap_batch(
    masked: Sequence[MaskedRow], first: int, config: Sizes, device: torch.device
) -> GapBatch:
    batch = batch_from_sequences(
        [one.token_ids_L for one in masked],
        row_tokens=None,
        cls_id=config.cls_id,
        sep_id=config.sep_id,
        pad_id=config.pad_id,
    )
    begins_S = _begins(batch)
    positions = [begin + 1 + one.positions_M for begin, one in zip(begins_S, masked, strict=True)]
    sequence = np.repeat(np.arange(len(masked)), [len(one.positions_M) for one in masked])
    return GapBatch(
        batch.to(device),
        torch.from_numpy(np.concatenate(positions)).to(device),
        torch.from_numpy(np.concatenate([one.targets_M for one in masked])).to(device),
        torch.from_numpy(sequence + first).to(device),
    )


def _begins(batch: Batch) -> list[int]:
    """Where each sequence's first special token stands in the flattened batch."""
    ids_N = batch.sequence_ids_BL.flatten()
    is_first_N = (batch.positions_BL.flatten() == 0) & (ids_N > 0)
    places = is_first_N.nonzero().flatten()
    begins: list[int] = places[ids_N[places].argsort()].tolist()
    return begins
