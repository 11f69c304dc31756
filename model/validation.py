"""How well a masked language model guesses held-out text, and what guessing blindly would give.

Letters: M masked positions, V vocabulary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.errors import CorpusError
from model.gradients import autocast
from model.masked_batches import MaskedBatch
from model.mlm import MaskedLanguageModel, summed_loss
from model.ranks import ALONE, Ranks


@dataclass(frozen=True, kw_only=True)
class Validation:
    """A fixed examination.

    Attributes:
        batches: masked batches, the same on all ranks, none of their targets ignored.
        token_bytes_V: int64, UTF-8 bytes that each token stands for.
        device: where the model is.
        precision: as in training.
        ranks: who shares the batches.

    Raises:
        CorpusError: there is nothing to guess, because the vocabulary knows none of the text.
    """

    batches: Sequence[MaskedBatch]
    token_bytes_V: Tensor
    device: torch.device
    precision: torch.dtype
    ranks: Ranks = ALONE

    def __post_init__(self) -> None:
        if not any(self.token_bytes_V[batch.targets_M].any() for batch in self.batches):
            raise CorpusError(
                "the validation split holds no text that the vocabulary knows, so there is "
                "nothing to guess: give ingest more text, or use a vocabulary that is learned "
                "from this text"
            )

    @torch.inference_mode()
    def __call__(self, model: MaskedLanguageModel) -> dict[str, float]:
        """Loss in nats a masked token, bits a byte of masked text, part guessed right.

        Each rank takes a share of the batches and gets the measures of all. Sums run in float64,
        so they hardly depend on how the rows are batched and shared.
        """
        sums_4 = torch.zeros(4, dtype=torch.float64, device=self.device)
        for batch in self.batches[self.ranks.rank :: self.ranks.num_ranks]:
            batch = batch.to(self.device)
            with autocast(self.device, self.precision):
                logits_MV = model(batch.batch, batch.positions_M)
            sums_4 += self._sums(logits_MV, batch.targets_M)
        loss, num_bytes, num_right, num_targets = self.ranks.sum(sums_4.cpu()).tolist()
        return {
            "validation_loss": loss / num_targets,
            "validation_bits_per_byte": loss / math.log(2) / num_bytes,
            "masked_accuracy": num_right / num_targets,
        }

    def _sums(self, logits_MV: Tensor, targets_M: Tensor) -> Tensor:
        loss = summed_loss(logits_MV, targets_M)
        num_bytes = self.token_bytes_V.to(self.device)[targets_M].sum()
        num_right = (logits_MV.argmax(dim=-1) == targets_M).sum()
        num_targets = torch.tensor(len(targets_M), device=self.device)
        return torch.stack([loss, num_bytes, num_right, num_targets]).double()


def unigram_loss(counts_V: NDArray[np.int64], targets_M: NDArray[np.int64]) -> float:
    """Nats a token of `targets_M` under the frequencies `counts_V`, each count raised by one.

    What a model reaches that knows how often tokens are and nothing of their context.
    """
    log_probabilities_V = np.log(counts_V + 1.0) - math.log(counts_V.sum() + len(counts_V))
    return float(-log_probabilities_V[targets_M].mean())
