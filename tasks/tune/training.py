"""One tuning run: updates, with validations and checkpoints at fixed steps."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from model.encoder import Encoder
from model.spans import SpanSampler
from model.tuning import Tuner, rate_factor_at, train
from tasks.checkpoints import checkpoint_steps, keep_scheduled
from tasks.stage import Reporter
from tasks.tune.documents import TokenIds
from tasks.tune.resume import Progress, go_back, resume, save_progress
from tasks.tune.validation import HalfDocuments


@dataclass
class TuningRun:
    """A run that can be interrupted at any moment and resumed from its newest checkpoint.

    Attributes:
        tuner: the encoder and its optimizer.
        start_tokens: gives the encoder the token vectors to begin with; the same every time.
        train_bag: trains them alone, before the first step; the same every time.
        sampler: gives each step its spans.
        documents: what the spans are cut from.
        validation: measures recall; None where there are too few validation documents.
        num_checkpoints: how often to validate and save.
        patience: validations in a row without a gain after which to stop.
        folder: holds the checkpoints.
        write_embedder: writes the embedder with this encoder, or a part of it, into a folder.
        report: hears of every step.
        progress: what is done so far.
        update_seconds: time of each update of this attempt, validation and saving not counted.
    """

    tuner: Tuner
    start_tokens: Callable[[], None]
    train_bag: Callable[[], None]
    sampler: SpanSampler
    documents: list[TokenIds]
    validation: HalfDocuments | None
    num_checkpoints: int
    patience: int
    folder: Path
    write_embedder: Callable[[Encoder, Path], None]
    report: Reporter
    progress: Progress = field(default_factory=Progress)
    update_seconds: list[float] = field(default_factory=list)
    _losses: list[float] = field(default_factory=list)
    _began: float = 0.0

    def run(self) -> None:
        """Train to the last step, then go back to the best; `progress` holds what was measured."""
        found = resume(self.folder, self.tuner, self._warn_of_damage)
        if found is None:
            self._begin()
        else:
            self.progress = found
            self.report.message(f"tune resumes after step {self.progress.step}")
        self._began = time.monotonic()
        train(
            self.tuner,
            lambda step: self.sampler.pairs(step).cut(self.documents),
            first_step=self.progress.step,
            on_step=self._after_update,
            is_enough=self._has_no_more_to_gain,
        )
        keep_scheduled(self.folder, on_damaged=self._warn_of_damage)
        if self.best_step != self.progress.step:
            self.report.message(f"tune takes the embedder of step {self.best_step}, the best")
            go_back(self.folder, self.best_step, self.tuner)

    @property
    def best_step(self) -> int:
        """Where validation retrieval was best, the first of equals; the last one unmeasured."""
        if self.validation is None:
            return self.progress.step
        return int(self.progress.history[self._best_place()]["step"])

    def _best_place(self) -> int:
        measured = [entry["validation_mrr"] for entry in self.progress.history]
        return measured.index(max(measured))

    def _begin(self) -> None:
        """Train the bag and keep what it gives: layers that do not help must not stay."""
        self.start_tokens()
        self.progress.before = self._scores()
        self.train_bag()
        self._measure({})
        self._save()

    def _has_no_more_to_gain(self) -> bool:
        if self.validation is None:
            return False
        return len(self.progress.history) - 1 - self._best_place() >= self.patience

    def _after_update(self, num_steps: int, loss: float) -> None:
        self.update_seconds.append(time.monotonic() - self._began)
        settings = self.tuner.settings
        rate = rate_factor_at(num_steps - 1, settings) * settings.learning_rate
        self.report.metrics({"train_loss": loss, "learning_rate": rate}, step=num_steps)
        self.report.progress(num_steps, settings.max_steps, "steps")
        self._losses.append(loss)
        self.progress.step = num_steps
        if num_steps in checkpoint_steps(settings.max_steps, self.num_checkpoints):
            self._measure({"train_loss": sum(self._losses) / len(self._losses)})
            self._losses.clear()
            self._save()
        self._began = time.monotonic()

    def _save(self) -> None:
        write_embedder = partial(self.write_embedder, self.tuner.encoder)
        save_progress(self.folder, self.tuner, self.progress, write_embedder)

    def _measure(self, values: dict[str, float]) -> None:
        """Add `values`, and retrieval where it can be measured, to the history."""
        scores = self._scores()
        if scores:
            self.report.metrics(scores, step=self.progress.step)
        self.progress.history.append({"step": self.progress.step, **values, **scores})

    def _scores(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        found = self.validation.scores(self.tuner.encoder, self.tuner.weights().detach())
        return {"validation_recall_at_1": found.recall_at_1, "validation_mrr": found.mrr}

    def _warn_of_damage(self, folder: Path) -> None:
        self.report.warning(f"checkpoint {folder.name} is damaged and was set aside")
