"""The course of a run: how much of it is done, and what that makes due."""

from dataclasses import dataclass

import torch

from model.schedule import rate_factor
from model.state import TrainingState


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How long a run is and what happens when.

    Attributes:
        max_steps: updates.
        max_seconds: stop earlier after this much training time; None = never.
        warmup_frac: part of the run in which the rates rise.
        decay_frac: part of the run in which they fall.
        num_validations: spread over the run, the last one at its end.
        num_checkpoints: the same.
        checkpoint_seconds: between further checkpoints, which change nothing in the run; None =
            there are none.
        max_rollbacks: how often a loss that spikes or is not finite leads back to a checkpoint;
            at 0 spikes are left alone.
        precision: bfloat16 runs the matrix products in it; weights stay float32.
        device: where the model is.
    """

    max_steps: int
    max_seconds: float | None = None
    warmup_frac: float
    decay_frac: float
    num_validations: int
    num_checkpoints: int
    checkpoint_seconds: float | None = None
    max_rollbacks: int = 0
    precision: torch.dtype
    device: torch.device

    def progress(self, state: TrainingState) -> float:
        """Part of the run that is done, 0 to 1 (past 1 in the last steps of a run by time)."""
        progress = state.step / self.max_steps
        if self.max_seconds is not None:
            progress = max(progress, state.elapsed_s / self.max_seconds)
        return progress

    def is_over(self, state: TrainingState) -> bool:
        """All steps done, or the time and, one a step, all checkpoints."""
        if state.step >= self.max_steps:
            return True
        return self.progress(state) >= 1 and state.num_checkpoints >= self.num_checkpoints

    def validation_is_due(self, state: TrainingState) -> bool:
        """Whether the run has reached a mark for a validation that it has not done."""
        return self._marks(self.num_validations, state) > state.num_validations

    def checkpoint_is_due(self, state: TrainingState) -> bool:
        """The same for scheduled checkpoints."""
        return self._marks(self.num_checkpoints, state) > state.num_checkpoints

    def something_is_due(self, state: TrainingState) -> bool:
        """Whether a validation or a scheduled checkpoint is, as one always is at the end."""
        return self.validation_is_due(state) or self.checkpoint_is_due(state)

    def rate_factor(self, state: TrainingState) -> float:
        """Share of the peak rates that the next update takes."""
        return rate_factor(
            self.progress(state) + 0.5 / self.max_steps,
            warmup_frac=self.warmup_frac,
            decay_frac=self.decay_frac,
        )

    def _marks(self, num_marks: int, state: TrainingState) -> int:
        """How many of the run's evenly spread marks it has reached; exact in runs by steps."""
        reached = state.step * num_marks // self.max_steps
        if self.max_seconds is not None:
            by_time = int(state.elapsed_s / self.max_seconds * num_marks)
            reached = max(reached, min(num_marks, by_time))
        return reached
