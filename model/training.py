"""The training loop: pure in the step, silent but for the callables it is handed."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from model.errors import CorpusmithError, TrainingError
from model.masked_batches import MaskedBatch, TrainingRows, batches_ahead
from model.mlm import MaskedLanguageModel, summed_loss
from model.optimizers import Optimizers
from model.schedule import rate_factor
from model.state import TrainingState
from model.throughput import Throughput

REPORT_EVERY_STEPS = 10


class TrainingInterrupted(CorpusmithError):
    """Training was asked to stop; it goes on from the checkpoint it left when run again."""


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
        precision: bfloat16 runs the matrix products in it; weights stay float32.
        device: where the model is.
    """

    max_steps: int
    max_seconds: float | None = None
    warmup_frac: float
    decay_frac: float
    num_validations: int
    num_checkpoints: int
    precision: torch.dtype
    device: torch.device


@dataclass(frozen=True, kw_only=True)
class TrainingHooks:
    """Whom the loop talks to.

    Attributes:
        on_metrics: gets a step and named numbers, every tenth step and after validations.
        on_checkpoint: writes the state down; the model and optimizers are at rest meanwhile.
        on_progress: gets the steps done, after every one.
        validate: measures the model as it is now.
        should_stop: asked after every step; True ends the run with `TrainingInterrupted`.
        clock: monotonic seconds.
    """

    on_metrics: Callable[[int, dict[str, float]], None]
    on_checkpoint: Callable[[TrainingState], None]
    on_progress: Callable[[int], None]
    validate: Callable[[], dict[str, float]]
    should_stop: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """The context in which forward passes run: matrix products in `precision`."""
    if precision == torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype=precision)


class Training:
    """One run of masked language modelling, from the state it is handed to its end."""

    def __init__(
        self,
        model: MaskedLanguageModel,
        optimizers: Optimizers,
        rows: TrainingRows,
        settings: TrainingSettings,
        hooks: TrainingHooks,
        state: TrainingState,
    ) -> None:
        self.model = model
        self.optimizers = optimizers
        self.rows = rows
        self.settings = settings
        self.hooks = hooks
        self.state = state
        self._speed = Throughput(hooks.clock)
        self._elapsed_before_s = state.elapsed_s
        self._started = hooks.clock()

    def run(self) -> None:
        """Trains to the end.

        Raises:
            TrainingError: the loss or the gradient is no longer finite; checkpoints stay.
            TrainingInterrupted: `should_stop` said so; a checkpoint of this very step is left.
        """
        with batches_ahead(self.rows, self.state.step) as batches:
            while not self._is_over():
                self._after_update(self._update(batches()))

    @property
    def tokens_per_second(self) -> float:
        """Tokens learned from per second of this process's training, validations left out."""
        return self._speed.overall

    def _update(self, batches: list[MaskedBatch]) -> dict[str, float]:
        """One optimizer update and its measures; the loss is the mean over all its targets."""
        num_targets = sum(batch.num_targets for batch in batches)
        total = torch.zeros((), device=self.settings.device)
        for batch in batches:
            batch = batch.to(self.settings.device)
            with autocast(self.settings.device, self.settings.precision):
                logits_MV = self.model(batch.batch, batch.positions_M)
            loss = summed_loss(logits_MV, batch.targets_M) / num_targets
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            total += loss.detach()
        grad_norm = self.optimizers.clip()
        self._refuse_not_finite(float(total), float(grad_norm))
        factor = self._rate_factor()
        self.optimizers.step(factor)
        self.state.step += 1
        num_tokens = sum(batch.num_tokens for batch in batches)
        self.state.num_tokens += num_tokens
        self._speed.add(num_tokens)
        return {
            "train_loss": float(total),
            "learning_rate": factor * self.optimizers.settings.learning_rate,
            "grad_norm": float(grad_norm),
        }

    def _after_update(self, measures: dict[str, float]) -> None:
        self.state.recent_losses.append(measures["train_loss"])
        if self.settings.max_seconds is not None:
            self.state.elapsed_s = self._elapsed_before_s + self.hooks.clock() - self._started
        stop = self.hooks.should_stop()
        checkpoint_is_due = self._marks(self.settings.num_checkpoints) > self.state.num_checkpoints
        self.state.num_checkpoints += checkpoint_is_due
        if self.state.step % REPORT_EVERY_STEPS == 0 or self._is_over():
            self._report_update(measures)
        if self._marks(self.settings.num_validations) > self.state.num_validations:
            self.state.num_validations += 1
            self._validate()
        if checkpoint_is_due or stop:
            self._checkpoint()
        self.hooks.on_progress(self.state.step)
        if stop and not self._is_over():
            raise TrainingInterrupted(
                f"pretraining was stopped after step {self.state.step} of "
                f"{self.settings.max_steps}; the same command goes on from there"
            )

    def _report_update(self, measures: dict[str, float]) -> None:
        losses = self.state.recent_losses
        values = {**measures, "train_loss": math.fsum(losses) / len(losses)}
        losses.clear()
        self._record(values)
        self.hooks.on_metrics(
            self.state.step, {**values, "tokens_per_second": self._speed.recent()}
        )

    def _validate(self) -> None:
        with self._speed.paused():
            self.state.validation = self.hooks.validate()
        self.state.validated_step = self.state.step
        self._record(self.state.validation)
        self.hooks.on_metrics(self.state.step, self.state.validation)

    def _checkpoint(self) -> None:
        if self._is_over() and self.state.validated_step != self.state.step:
            self._validate()  # the end of a run by time may lie past its last mark
        with self._speed.paused():
            self.hooks.on_checkpoint(self.state)

    def _record(self, values: dict[str, float]) -> None:
        self.state.curve += [(self.state.step, name, value) for name, value in values.items()]

    def _refuse_not_finite(self, loss: float, grad_norm: float) -> None:
        for name, value in (("loss", loss), ("gradient's norm", grad_norm)):
            if not math.isfinite(value):
                raise TrainingError(
                    f"the {name} is {value} in step {self.state.step + 1}; lower "
                    "pretrain.muon_learning_rate and pretrain.learning_rate or look at the data"
                )

    def _progress(self) -> float:
        """Part of the run that is done, 0 to 1 (past 1 in the last steps of a run by time)."""
        progress = self.state.step / self.settings.max_steps
        if self.settings.max_seconds is not None:
            progress = max(progress, self.state.elapsed_s / self.settings.max_seconds)
        return progress

    def _marks(self, num_marks: int) -> int:
        """How many of the run's evenly spread marks it has reached; exact in runs by steps."""
        reached = self.state.step * num_marks // self.settings.max_steps
        if self.settings.max_seconds is not None:
            by_time = int(self.state.elapsed_s / self.settings.max_seconds * num_marks)
            reached = max(reached, min(num_marks, by_time))
        return reached

    def _is_over(self) -> bool:
        """All steps done, or the time and, one a step, all checkpoints."""
        if self.state.step >= self.settings.max_steps:
            return True
        return self._progress() >= 1 and self.state.num_checkpoints >= self.settings.num_checkpoints

    def _rate_factor(self) -> float:
        return rate_factor(
            self._progress() + 0.5 / self.settings.max_steps,
            warmup_frac=self.settings.warmup_frac,
            decay_frac=self.settings.decay_frac,
        )
