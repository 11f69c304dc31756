"""Small training runs for tests: rows of made-up text, a tiny model, a loop that is listened to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from model.batch import Tokens
from model.config import EncoderConfig
from model.course import TrainingSettings
from model.initialization import initialize
from model.masked_batches import TrainingRows, ValidationRows
from model.masking import Masking
from model.mlm import MaskedLanguageModel
from model.optimizers import Optimizers, OptimizerSettings
from model.order import BatchRamp
from model.ranks import ALONE, Ranks
from model.state import TrainingState
from model.training import Training, TrainingHooks

CONFIG = EncoderConfig(
    vocab_size=64, hidden_size=32, num_layers=2, num_heads=2, intermediate_size=48
)
ROW_TOKENS = 32
RAMP_SETTINGS = {"rows_per_step", "initial_rows", "ramp_steps"}
MASKING_SETTINGS = {"mask_frac", "final_mask_frac", "shares", "joins"}


class MadeUpRows:
    """Rows of two pieces, each counting upwards from a random token: easy to learn."""

    def __init__(self, num_rows: int = 40) -> None:
        generator = np.random.default_rng(0)
        self._rows = [
            [self._piece(generator, 12), self._piece(generator, int(generator.integers(1, 17)))]
            for _ in range(num_rows)
        ]

    @property
    def num_rows(self) -> int:
        return len(self._rows)

    def row(self, row: int) -> list[Tokens]:
        return self._rows[row]

    @staticmethod
    def _piece(generator: np.random.Generator, length: int) -> Tokens:
        return (5 + (generator.integers(59) + np.arange(length)) % 59).astype(np.uint16)


def training_rows(**changes: Any) -> TrainingRows:
    """Rows with these settings changed, those of the ramp and the masking by their own names."""
    ramp = {"rows_per_step": 8, "ramp_steps": 0}
    ramp |= {name: changes.pop(name) for name in RAMP_SETTINGS & changes.keys()}
    masking = {"mask_frac": 0.3}
    masking |= {name: changes.pop(name) for name in MASKING_SETTINGS & changes.keys()}
    values = {
        "rows": MadeUpRows(),
        "config": CONFIG,
        "row_tokens": ROW_TOKENS,
        "ramp": BatchRamp(**{"initial_rows": ramp["rows_per_step"], **ramp}),
        "max_steps": 20,
        "micro_rows": 8,
        "masking": Masking(**masking),
        "seed": 0,
    }
    return TrainingRows(**{**values, **changes})


def validation_rows(*, micro_rows: int = 8, max_rows: int = 1000) -> ValidationRows:
    """What is examined on of the made-up rows."""
    return ValidationRows(
        rows=MadeUpRows(),
        config=CONFIG,
        row_tokens=ROW_TOKENS,
        max_rows=max_rows,
        micro_rows=micro_rows,
        mask_frac=0.15,
        seed=0,
    )


@dataclass
class Run:
    """One training with everything it said.

    Attributes:
        training: the loop.
        metrics: what was reported, in order.
        checkpoints: the steps they were written at.
        on_checkpoint: does more about them.
        on_rollback: by default the run begins again.
        state: where it starts; the weights do not follow by themselves.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, Any] = field(default_factory=dict)
    should_stop: Callable[["Run"], bool] = lambda run: False
    on_checkpoint: Callable[["Run"], None] = lambda run: None
    on_rollback: Callable[["Run"], TrainingState] = lambda run: run.begin_again()
    state: TrainingState = field(default_factory=TrainingState)
    ranks: Ranks = ALONE
    clock: Callable[[], float] | None = None
    device: str = "cpu"
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    checkpoints: list[int] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)
    bad_batches: list[tuple[int, list[tuple[int, int]]]] = field(default_factory=list)
    num_validations: int = 0

    def __post_init__(self) -> None:
        self.model = MaskedLanguageModel(CONFIG)
        initialize(self.model, CONFIG, 0)
        self.model.to(self.device)
        self.optimizers = self._new_optimizers()
        self.training = self._training()

    def begin_again(self) -> TrainingState:
        """Puts model and optimizers where they were before the first update."""
        initialize(self.model, CONFIG, 0)
        self.optimizers.forget()
        return TrainingState()

    def _new_optimizers(self) -> Optimizers:
        rates = {
            "learning_rate": 1e-2,
            "muon_learning_rate": 5e-2,
            "weight_decay": 0.01,
            "grad_clip": 1.0,
            **self.rates,
        }
        return Optimizers(self.model, OptimizerSettings(**rates))

    def _training(self) -> Training:
        settings = {
            "max_steps": 20,
            "warmup_frac": 0.1,
            "decay_frac": 0.4,
            "num_validations": 2,
            "num_checkpoints": 4,
            "precision": torch.float32,
            "device": torch.device("cpu"),
            **self.settings,
        }
        hooks = TrainingHooks(
            on_metrics=lambda step, values: self.metrics.append((step, values)),
            on_checkpoint=self._write_checkpoint,
            on_progress=self.progress.append,
            on_rollback=lambda: self.on_rollback(self),
            on_bad_batch=self._note_bad_batch,
            validate=self._validate,
            examples=lambda: [{"seen": "a [MASK] c", "guesses": ["b"]}],
            should_stop=lambda: self.should_stop(self),
            **({} if self.clock is None else {"clock": self.clock}),
        )
        return Training(
            self.model,
            self.optimizers,
            training_rows(
                **{
                    "max_steps": settings["max_steps"],
                    "rank": self.ranks.rank,
                    "num_ranks": self.ranks.num_ranks,
                    **self.rows,
                }
            ),
            TrainingSettings(**settings),
            hooks,
            self.state,
            self.ranks,
        )

    def _write_checkpoint(self, state: TrainingState) -> None:
        self.checkpoints.append(state.step)
        self.on_checkpoint(self)

    def _note_bad_batch(self, step: int, chosen: list[tuple[int, int]]) -> str:
        self.bad_batches.append((step, chosen))
        return "written to failed-batch.json"

    def _validate(self) -> dict[str, float]:
        self.num_validations += 1
        return {"validation_loss": float(self.num_validations)}

    def losses(self) -> list[float]:
        return [values["train_loss"] for _, values in self.metrics if "train_loss" in values]
