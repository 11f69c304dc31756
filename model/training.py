"""The training loop: pure in the step, silent but for the callables it is handed."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from model.course import TrainingSettings
from model.errors import CorpusmithError, TrainingError
from model.finite import are_finite, refuse_no_numbers
from model.giving_up import GivenUp, can_be_given_up
from model.gradients import Gradients
from model.masked_batches import MaskedBatch, TrainingRows, batches_ahead
from model.memory import memory_advice
from model.mlm import MaskedLanguageModel
from model.optimizers import Optimizers
from model.ranks import ALONE, Ranks
from model.spikes import is_spike, remember
from model.state import TrainingState
from model.step_parts import StepParts
from model.throughput import Throughput

REPORT_EVERY_STEPS = 10


class TrainingInterrupted(CorpusmithError):
    """Training was asked to stop; it goes on from the checkpoint it left when run again."""


@dataclass(frozen=True, kw_only=True)
class TrainingHooks:
    """Whom the loop talks to: the first rank to all of them, the others where it says so.

    Attributes:
        on_metrics: gets a step and named numbers, every tenth step, after validations and after
            checkpoints.
        on_checkpoint: writes the state down; the model and optimizers are at rest meanwhile.
        on_progress: gets the steps done, after every one.
        on_rollback: puts model and optimizers, all ranks', where the newest scheduled checkpoint
            or else the beginning was, and returns that state. Checkpoints that a stop or the
            clock caused do not count: a run must not end otherwise because it was stopped.
        on_bad_batch: gets the step (from 1) whose loss ends the run and the epoch and row of all
            it learned from; writes down and returns what a user needs to find them.
        validate: measures the model as it is now, on all ranks.
        examples: JSON values that show what the model does now; kept in the state.
        should_stop: asked after every step, on all ranks; one True ends the run on all of them
            with `TrainingInterrupted`.
        cannot_wait: asked between layers where one rank trains on a CPU, where a step may take
            minutes; True also gives up the update or the validation in progress.
        clock: monotonic seconds.
    """

    on_metrics: Callable[[int, dict[str, float]], None]
    on_checkpoint: Callable[[TrainingState], None]
    on_progress: Callable[[int], None]
    on_rollback: Callable[[], TrainingState]
    on_bad_batch: Callable[[int, list[tuple[int, int]]], str]
    validate: Callable[[], dict[str, float]]
    examples: Callable[[], list[dict[str, Any]]]
    should_stop: Callable[[], bool]
    cannot_wait: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class _Update:
    """What all ranks know of an update once its gradient is there."""

    loss: float
    grad_norm: float
    num_tokens: int


class Training:
    """One run of masked language modelling, from the state it is handed to its end.

    Args:
        model: on the settings' device, at the state.
        optimizers: of the model, at the state.
        rows: what to learn from; this rank's.
        settings: how long.
        hooks: whom to talk to.
        state: where the run stands; it is kept up to date.
        ranks: who trains together. Each runs the same loop and decides the same.
    """

    def __init__(
        self,
        model: MaskedLanguageModel,
        optimizers: Optimizers,
        rows: TrainingRows,
        settings: TrainingSettings,
        hooks: TrainingHooks,
        state: TrainingState,
        ranks: Ranks = ALONE,
    ) -> None:
        assert (rows.rank, rows.num_ranks) == (ranks.rank, ranks.num_ranks)
        self.model = model
        self.optimizers = optimizers
        self.rows = rows
        self.settings = settings
        self.hooks = hooks
        self.state = state
        self.ranks = ranks
        self.resumed_from_step = self._saved_step = state.step
        self._parts = StepParts(settings.device)
        self._gradients = Gradients(model, settings.device, settings.precision, ranks, self._parts)
        self._speed = Throughput(hooks.clock)
        self._elapsed_before_s = state.elapsed_s
        self._started = self._saved_at = hooks.clock()

    def run(self) -> None:
        """Trains to the end.

        Raises:
            TrainingError: the loss, the gradient or the weights are not finite, or the loss
                spikes, and no rollback is left; or a measure of a validation is not finite; or
                memory does not suffice. Checkpoints stay, and all of them are finite.
            TrainingInterrupted: `should_stop` said so; a checkpoint of this very step is left.
        """
        with memory_advice(self.rows), self._gradients.exchanged(), self._patience():
            try:
                self._do_what_is_due()  # as far as a stop left it undone
                while not self._is_over():
                    with batches_ahead(
                        self.rows, self.state.step, self.state.num_skipped_rows
                    ) as batches:
                        self._run_on(batches)
            except GivenUp:
                self._leave()

    @property
    def tokens_per_second(self) -> float:
        """Tokens learned from per second of this process's training, validations left out."""
        return self._speed.overall

    def _run_on(self, batches: Callable[[], list[MaskedBatch]]) -> None:
        """Updates up to the end or, if one goes wrong, back to a checkpoint."""
        while not self._is_over():
            with self._parts.part("input"):
                ready = batches()
            update = self._gradient(ready)
            if trouble := self._trouble(update):
                self._roll_back(trouble)
                return
            if not self._after_update(self._apply(update)):
                return

    def _gradient(self, batches: list[MaskedBatch]) -> _Update:
        """Computes and clips the gradient; the loss is the mean over all targets of the update."""
        share, num_tokens = self._gradients.fill(batches)
        grad_norm = self.optimizers.clip()
        loss = self.ranks.sum(torch.tensor(float(share), dtype=torch.float64))
        return _Update(float(loss) / self.ranks.num_ranks, float(grad_norm), num_tokens)

    def _trouble(self, update: _Update) -> str | None:
        """What is wrong with an update whose gradient had better not be applied."""
        for name, value in (("loss", update.loss), ("gradient's norm", update.grad_norm)):
            if not math.isfinite(value):
                return f"the {name} is {value}"
        if self.settings.max_rollbacks and is_spike(update.loss, self.state.loss_window):
            return f"the loss jumps to {update.loss:.4g}"
        return None

    def _roll_back(self, trouble: str) -> None:
        """Goes back to a checkpoint and past all rows since, this update's included.

        Chowdhery et al. 2022, "PaLM", section 5.1.
        """
        if self.state.num_rollbacks >= self.settings.max_rollbacks:
            raise self._end_of_patience(trouble)
        before, ramp = self.state, self.rows.ramp
        next_place = ramp.rows_before(before.step + 1) + before.num_skipped_rows
        self._gradients.drop()
        with self._speed.paused():
            self.state = self.hooks.on_rollback()
        self._saved_step = self.state.step
        self.state.num_skipped_rows = next_place - ramp.rows_before(self.state.step)
        self.state.num_rollbacks = before.num_rollbacks + 1
        self.state.elapsed_s = before.elapsed_s
        self._report({"rollbacks": float(self.state.num_rollbacks)})

    def _end_of_patience(self, trouble: str) -> TrainingError:
        step, said = self.state.step, ""
        if self.ranks.is_first:
            chosen = self.rows.chosen(step, self.state.num_skipped_rows)
            said = self.hooks.on_bad_batch(step + 1, chosen)
        said = self.ranks.first_says(said)
        return TrainingError(
            f"{trouble} in step {step + 1} ({said}); lower pretrain.muon_learning_rate and "
            "pretrain.learning_rate, look at the data or raise pretrain.max_rollbacks (now "
            f"{self.settings.max_rollbacks})"
        )

    def _apply(self, update: _Update) -> dict[str, float]:
        """Changes the weights; returns the measures of the update."""
        factor = self.settings.rate_factor(self.state)
        with self._parts.part("optimizer"):
            self.optimizers.step(factor)
        self._parts.end_step()
        self._speed.add(update.num_tokens)
        self.state.num_tokens += update.num_tokens
        self.state.recent_losses.append(update.loss)
        remember(update.loss, self.state.loss_window)
        measures = {
            "learning_rate": factor * self.optimizers.settings.learning_rate,
            "grad_norm": update.grad_norm,
            **self._changing_settings(),
        }
        self.state.step += 1
        return measures

    def _changing_settings(self) -> dict[str, float]:
        """Those of the rows that are not the same in all of the run."""
        rows, step = self.rows, self.state.step
        values: dict[str, float] = {}
        if rows.mask_frac_at(0) != rows.mask_frac_at(self.settings.max_steps):
            values["mask_frac"] = rows.mask_frac_at(step)
        if rows.num_rows_in(0) != rows.num_rows_in(self.settings.max_steps):
            values["rows_per_step"] = float(rows.num_rows_in(step))
        return values

    def _after_update(self, measures: dict[str, float]) -> bool:
        """Whether the run stands; else it went back to a checkpoint."""
        stop, checkpoint_by_time = self._agree()
        must_save = stop or checkpoint_by_time
        is_due = must_save or self.settings.something_is_due(self.state)
        stands = not is_due or self._has_finite_weights()
        if stands:
            self._do_what_is_due(measures, must_checkpoint=must_save)
            if self.ranks.is_first:
                self.hooks.on_progress(self.state.step)
        if stop and not self._is_over():
            raise self._interruption()
        return stands

    def _has_finite_weights(self) -> bool:
        """On all ranks; else goes back. Where nothing is due, the next update's loss tells."""
        if self.ranks.sum(torch.tensor(int(not are_finite(self.model.parameters())))) == 0:
            return True
        self.state.step -= 1  # the update counts as not done
        self._roll_back("there are weights that are not finite")
        return False

    def _do_what_is_due(
        self, measures: dict[str, float] | None = None, *, must_checkpoint: bool = False
    ) -> None:
        """Reports `measures` of an update, validates, leaves a checkpoint; what is given up before
        its end stays due."""
        counts = self.state.num_validations, self.state.num_checkpoints
        checkpoint_is_due = self.settings.checkpoint_is_due(self.state)
        self.state.num_checkpoints += checkpoint_is_due
        if measures and (self.state.step % REPORT_EVERY_STEPS == 0 or self._is_over()):
            self._report_update(measures)
        try:
            if self.settings.validation_is_due(self.state):
                self.state.num_validations += 1
                self._validate()
            if checkpoint_is_due or must_checkpoint:
                self._checkpoint()
        except GivenUp:
            self.state.num_validations, self.state.num_checkpoints = counts
            raise

    def _patience(self) -> AbstractContextManager[None]:
        """While this lasts, what is computed may be given up, where that is for one to decide."""
        if self.ranks.num_ranks > 1 or self.settings.device.type != "cpu":
            return nullcontext()
        return can_be_given_up(self.model.model.layers, self.hooks.cannot_wait)

    def _leave(self) -> None:
        """Ends the run without what is being computed."""
        self._gradients.drop()
        if self.state.step > self._saved_step and self._has_finite_weights():
            self._write_checkpoint()
        raise self._interruption()

    def _interruption(self) -> TrainingInterrupted:
        return TrainingInterrupted(
            f"pretraining was stopped after step {self.state.step} of "
            f"{self.settings.max_steps}; the same command goes on from there"
        )

    def _agree(self) -> tuple[bool, bool]:
        """Whether any rank wants to stop, and whether the first one's clock wants a checkpoint.

        That clock also tells all of them how much of a run by time is over.
        """
        wishes_3 = torch.zeros(3, dtype=torch.float64)
        settings = self.settings
        by_time = settings.max_seconds is not None or settings.checkpoint_seconds is not None
        if self.ranks.is_first and by_time:
            now = self.hooks.clock()
            wishes_3[0] = now - self._started
            wishes_3[1] = now - self._saved_at >= (settings.checkpoint_seconds or math.inf)
        wishes_3[2] = self.hooks.should_stop()
        elapsed_s, checkpoint_is_due, num_stops = self.ranks.sum(wishes_3).tolist()
        if settings.max_seconds is not None:
            self.state.elapsed_s = self._elapsed_before_s + elapsed_s
        return num_stops > 0, checkpoint_is_due > 0

    def _report_update(self, measures: dict[str, float]) -> None:
        losses = self.state.recent_losses
        measures = {"train_loss": math.fsum(losses) / len(losses), **measures}
        losses.clear()
        times = {"tokens_per_second": self._speed.recent(), **self._parts.recent()}
        self._report(measures, times)

    def _report(self, measures: dict[str, float], times: dict[str, float] | None = None) -> None:
        """Tells of `measures`, which are kept, and of `times`, which differ from run to run."""
        self.state.curve += [(self.state.step, name, value) for name, value in measures.items()]
        if self.ranks.is_first:
            self.hooks.on_metrics(self.state.step, {**measures, **(times or {})})

    def _validate(self) -> None:
        with self._speed.paused():
            self.state.validation = self.hooks.validate()
            refuse_no_numbers(self.state.validation, self.state.step)
            if self.ranks.is_first:
                step = {"step": self.state.step}
                self.state.samples += [step | example for example in self.hooks.examples()]
        self.state.validated_step = self.state.step
        self._report(self.state.validation)

    def _checkpoint(self) -> None:
        if self._is_over() and self.state.validated_step != self.state.step:
            self._validate()  # the end of a run by time may lie past its last mark
        self._write_checkpoint()

    def _write_checkpoint(self) -> None:
        started = time.perf_counter()
        with self._speed.paused():
            if self.ranks.is_first:
                self.hooks.on_checkpoint(self.state)
            self.ranks.wait()
        self._saved_step = self.state.step
        self._report({}, {"checkpoint_s": time.perf_counter() - started})
        if self.settings.checkpoint_seconds is not None:
            self._saved_at = self.hooks.clock()

    def _is_over(self) -> bool:
        return self.settings.is_over(self.state)
