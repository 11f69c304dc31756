"""Rows of the masked-token loss read off each layer, and of guessing by frequency alone.

Letters: S documents, K layers, G groups of documents, M gaps, V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import Sizes
from model.inspection import MaskedPredictor
from model.intervals import Interval, jackknife_interval, sum_by_group
from model.layer_loss import TOKENS_PER_BATCH, guess_from_layers
from model.masked_sequences import mask_sequences
from tasks.probe.sample import SPLIT, Sample, Tokens
from tasks.probe.table import Row, row_of_interval

MASK_FRAC = 0.15  # what validation of pretraining masks
LOSS, ACCURACY = "masked_loss", "masked_accuracy"
UNIGRAM = "unigram_"
_RANGES = {LOSS: (0.0, float("inf")), ACCURACY: (0.0, 1.0)}
_DOCUMENTS_AT_ONCE = 1000


def masked_loss_rows(
    model: MaskedPredictor,
    sample: Sample,
    *,
    mask_frac: float = MASK_FRAC,
    mask_seed: int = 0,
    prefix: str = "",
    seed: int | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> list[Row]:
    """`masked_loss` (nats) and `masked_accuracy` of every layer, from one pass.

    Args:
        model: its own trained head reads every layer, as `model.layer_loss` says.
        sample: `mask_frac` of each document's tokens are shown as [MASK].
        mask_frac: above 0 and below 1.
        mask_seed: of the choice; the same tokens are masked for every model with one vocabulary.
        prefix: goes before the measures' names.
        seed: what the rows say of the model's seed.
        tokens_per_batch: are computed at once.
    """
    masked = mask_sequences(sample.documents, model.config, mask_frac=mask_frac, seed=mask_seed)
    guesses = guess_from_layers(model, masked, tokens_per_batch=tokens_per_batch)
    rows = []
    for name, sums_SK in ((LOSS, guesses.loss_SK), (ACCURACY, guesses.right_SK)):
        interval = per_gap(sums_SK, guesses.num_gaps_S, sample).within(*_RANGES[name])
        rows += [
            row_of_interval(
                interval.at(layer), measure=prefix + name, layer=layer, split=SPLIT, seed=seed
            )
            for layer in range(len(interval.value))
        ]
    return rows


def unigram_rows(
    counts_V: NDArray[np.int64],
    sample: Sample,
    config: Sizes,
    *,
    mask_frac: float = MASK_FRAC,
    mask_seed: int = 0,
) -> list[Row]:
    """What one reaches at the same gaps who knows how often tokens are, and no context.

    `unigram_masked_loss`: nats under the frequencies, each count raised by one;
    `unigram_masked_accuracy`: the share of gaps in which the most frequent token stood. No layer
    has a part in it: the rows say layer 0.

    Args:
        counts_V: how often each token stands in the training text.
        sample, mask_frac, mask_seed: as for `masked_loss_rows`.
        config: for the special ids.
    """
    masked = mask_sequences(sample.documents, config, mask_frac=mask_frac, seed=mask_seed)
    num_gaps_S = torch.tensor([len(one.targets_M) for one in masked])
    targets_M = torch.from_numpy(np.concatenate([one.targets_M for one in masked]))
    document_M = torch.repeat_interleave(torch.arange(len(masked)), num_gaps_S)
    raised_V = torch.from_numpy(counts_V).double() + 1
    values = {
        LOSS: -(raised_V / raised_V.sum()).log()[targets_M],
        ACCURACY: (targets_M == int(raised_V.argmax())).double(),
    }
    rows = []
    for name, value_M in values.items():
        sums_S1 = sum_by_group(value_M[:, None], document_M, len(masked))
        interval = per_gap(sums_S1, num_gaps_S, sample).within(*_RANGES[name])
        rows.append(row_of_interval(interval.at(0), measure=UNIGRAM + name, layer=0, split=SPLIT))
    return rows


def per_gap(sums_SX: Tensor, num_gaps_S: Tensor, sample: Sample) -> Interval:
    """Sums over each document's gaps as means over all gaps, with intervals over documents: [X]."""
    group_S = torch.arange(len(sums_SX), device=sums_SX.device) % sample.num_groups
    parts = [
        sum_by_group(values, group_S, sample.num_groups)
        for values in (sums_SX, num_gaps_S[:, None])
    ]
    return jackknife_interval(torch.div, parts)


def count_tokens(documents: Sequence[Tokens], vocab_size: int) -> NDArray[np.int64]:
    """How often each token stands in the documents, ``counts_V``."""
    counts_V = np.zeros(vocab_size, dtype=np.int64)
    for start in range(0, len(documents), _DOCUMENTS_AT_ONCE):
        part = documents[start : start + _DOCUMENTS_AT_ONCE]
        counts_V += np.bincount(np.concatenate(part), minlength=vocab_size)
    return counts_V
