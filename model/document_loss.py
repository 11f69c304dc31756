"""How well a masked language model guesses each document by itself.

Letters: S sequences, M gaps, D hidden width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.layer_loss import TOKENS_PER_BATCH, guess
from model.masked_sequences import gap_batches
from model.masking import MaskedRow
from model.mlm import MaskedLanguageModel


@torch.inference_mode()
def document_losses(
    model: MaskedLanguageModel,
    masked: Sequence[MaskedRow],
    *,
    tokens_per_batch: int = TOKENS_PER_BATCH,
) -> Tensor:
    """Mean loss in nats over the gaps of each sequence, float64 [S], on the CPU.

    Not a number where a sequence has no gap. No sequence's loss depends on the others beside it,
    but for the last bits.

    Args:
        model: in evaluation mode.
        masked: sequences with gaps, at least two tokens shorter than the model's positions.
        tokens_per_batch: are computed at once.
    """
    device = next(model.parameters()).device
    sums_S = torch.zeros(len(masked), dtype=torch.float64)
    counts_S = torch.zeros(len(masked), dtype=torch.float64)
    for gaps in gap_batches(masked, model.config, tokens_per_batch=tokens_per_batch, device=device):
        hidden_MD = model.model(gaps.batch, gaps.positions_M)
        loss_M = guess(model, hidden_MD, gaps.targets_M)[0].double().cpu()
        sequence_M = gaps.sequence_M.cpu()
        sums_S.index_add_(0, sequence_M, loss_M)
        counts_S.index_add_(0, sequence_M, torch.ones_like(loss_M))
    return sums_S / counts_S
