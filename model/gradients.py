"""The gradient of one update: summed over micro batches and ranks."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from model.masked_batches import MaskedBatch
from model.mlm import MaskedLanguageModel, MaskedLoss
from model.ranks import Ranks
from model.step_parts import StepParts


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """The context in which forward passes run: matrix products in `precision`."""
    if precision == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=precision)


class Gradients:
    """Fills in the gradients of a model's parameters, the same on all ranks.

    Args:
        model: on `device`.
        device: where to compute.
        precision: of the matrix products.
        ranks: who shares an update.
        parts: measures forward and backward.
    """

    def __init__(
        self,
        model: MaskedLanguageModel,
        device: torch.device,
        precision: torch.dtype,
        ranks: Ranks,
        parts: StepParts,
    ) -> None:
        self.model = model
        self.forward: nn.Module | None = None
        self.device = device
        self.precision = precision
        self.ranks = ranks
        self.parts = parts
        self._buckets_are_settled = False

    @contextmanager
    def exchanged(self) -> Iterator[None]:
        """While this lasts, and only then, gradients can be filled in.

        All ranks enter together; their models take the first one's weights. The threads that
        exchange gradients end with it: past the group of ranks they may crash the process.
        """
        self.forward = self.ranks.wrapped(MaskedLoss(self.model))
        self._buckets_are_settled = self.ranks.num_ranks == 1
        try:
            yield
        finally:
            self.forward = None

    def fill(self, batches: Sequence[MaskedBatch]) -> tuple[Tensor, int]:
        """Adds to the gradients those of the mean loss over all ranks' targets.

        Args:
            batches: this rank's micro batches, at least one.

        Returns:
            This rank's share of that loss (nats, float32, on the device; the loss is the mean of
            the shares) and the number of all ranks' tokens.
        """
        num_targets, num_tokens = self._counts(batches)
        # The average that the ranks form of their gradients divides by their number once more.
        targets_a_rank = max(num_targets, 1) / self.ranks.num_ranks
        if not self._buckets_are_settled:
            self._settle_buckets(batches)
        return self._accumulate(batches, targets_a_rank), num_tokens

    def drop(self) -> None:
        """Forgets the gradients."""
        for parameter in self.model.parameters():
            parameter.grad = None

    def _counts(self, batches: Sequence[MaskedBatch]) -> tuple[int, int]:
        """Targets and tokens of all ranks."""
        num_targets = sum(batch.num_targets for batch in batches)
        num_tokens = sum(batch.num_tokens for batch in batches)
        counts = self.ranks.sum(torch.tensor([num_targets, num_tokens]))
        return int(counts[0]), int(counts[1])

    def _accumulate(self, batches: Sequence[MaskedBatch], targets_a_rank: float) -> Tensor:
        assert self.forward is not None, "gradients are filled in while they are exchanged"
        total = torch.zeros((), device=self.device)
        with self.ranks.apart(self.forward):
            for batch in batches[:-1]:
                total += self._backward(batch, targets_a_rank)
        total += self._backward(batches[-1], targets_a_rank)
        return total

    def _backward(self, batch: MaskedBatch, targets_a_rank: float) -> Tensor:
        with self.parts.part("forward"):
            loss = self._summed_loss(batch) / targets_a_rank
        with self.parts.part("backward"):
            torch.autograd.backward(loss)
        return loss.detach()

    def _summed_loss(self, batch: MaskedBatch) -> Tensor:
        assert self.forward is not None
        batch = batch.to(self.device)
        with autocast(self.device, self.precision):
            loss: Tensor = self.forward(batch.batch, batch.positions_M, batch.targets_M)
        return loss

    def _settle_buckets(self, batches: Sequence[MaskedBatch]) -> None:
        """Lets the exchange of gradients lay out its buffers for good.

        It does so after it has seen one backward pass, and the layout decides in which order
        ranks are added up. With one pass beforehand, a resumed run adds as the unbroken one.
        """
        self._accumulate(batches[-1:], 1.0)
        self.drop()
        self._buckets_are_settled = True
