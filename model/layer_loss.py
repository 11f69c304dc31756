"""Masked-token loss read off each layer: the trained head applied to a layer's states too early.

The logit lens (nostalgebraist 2020, "interpreting GPT: the logit lens"): the states of layer k go
through the final norm and the head as if no layer came after it. The head was trained on the last
layer's states alone. So this is how far a layer has come on the way to the answer in the last
layer's own terms, not all that it knows: the estimate is biased against lower layers and may lie
above that of guessing by frequency (Belrose et al. 2023, arXiv 2303.08112, section 2).

Letters: K layers (embeddings included), S sequences, M gaps, D hidden width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from model.attention import at
from model.inspection import MaskedPredictor
from model.intervals import sum_by_group
from model.masked_sequences import GapBatch, gap_batches
from model.masking import MaskedRow

TOKENS_PER_BATCH = 8192
GAPS_AT_ONCE = 1024  # their scores over the vocabulary are held together


@dataclass(frozen=True)
class LayerGuesses:
    """What the head makes of each layer's states at the gaps, summed over each sequence.

    Attributes:
        loss_SK: float64, nats.
        right_SK: float64, how many gaps' likeliest token is the one that stood there.
        num_gaps_S: int64.
    """

    loss_SK: Tensor
    right_SK: Tensor
    num_gaps_S: Tensor


@torch.inference_mode()
def guess_from_layers(
    model: MaskedPredictor,
    masked: Sequence[MaskedRow],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> LayerGuesses:
    """Loss and right guesses of every layer, from one pass over sequences with gaps.

    The last layer's are those of the model itself.
    Cost: a pass, and the head and decoder K times for each gap.
    """
    device = next(model.parameters()).device
    loss, right, sequence = [], [], []
    for gaps in gap_batches(masked, model.config, tokens_per_batch=tokens_per_batch, device=device):
        loss_MK, right_MK = _guess(model, gaps)
        loss.append(loss_MK)
        right.append(right_MK)
        sequence.append(gaps.sequence_M)
    sequence_M = torch.cat(sequence)
    return LayerGuesses(
        sum_by_group(torch.cat(loss), sequence_M, len(masked)),
        sum_by_group(torch.cat(right), sequence_M, len(masked)),
        torch.bincount(sequence_M, minlength=len(masked)),
    )


def guess(model: MaskedPredictor, hidden_MD: Tensor, targets_M: Tensor) -> tuple[Tensor, Tensor]:
    """Loss in nats (``loss_M``, float32) and whether the guess is right (``right_M``, bool).

    Args:
        model: its head and decoder are used.
        hidden_MD: states after the final norm.
        targets_M: int64, the tokens to guess.
    """
    losses, rights = [], []
    for hidden_D, targets in zip(
        torch.split(hidden_MD, GAPS_AT_ONCE), torch.split(targets_M, GAPS_AT_ONCE), strict=True
    ):
        logits_V = model.logits(hidden_D).float()
        losses.append(functional.cross_entropy(logits_V, targets, reduction="none"))
        rights.append(logits_V.argmax(dim=-1) == targets)
    return torch.cat(losses), torch.cat(rights)


def _guess(model: MaskedPredictor, gaps: GapBatch) -> tuple[Tensor, Tensor]:
    losses, rights = [], []
    for seen in model.model.observe(gaps.batch):
        hidden_MD = at(seen.hidden_BLD, gaps.positions_M)
        if seen.layer < model.config.num_layers:  # the last one is normed already
            hidden_MD = model.model.final_norm(hidden_MD)
        loss_M, right_M = guess(model, hidden_MD, gaps.targets_M)
        losses.append(loss_M)
        rights.append(right_M)
    return torch.stack(losses, dim=1), torch.stack(rights, dim=1)
