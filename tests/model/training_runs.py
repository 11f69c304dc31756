"""Small training runs for tests: rows of made-up text, a tiny model, a loop that is listened to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from model.batch import Tokens
from model.config import EncoderConfig
from model.initialization import initialize
from model.masked_batches import TrainingRows
from model.mlm import MaskedLanguageModel
from model.optimizers import Optimizers, OptimizerSettings
from model.state import TrainingState
from model.training import Training, TrainingHooks, TrainingSettings

CONFIG = EncoderConfig(
    vocab_size=64, hidden_size=32, num_layers=2, num_heads=2, intermediate_size=48
)
ROW_TOKENS = 32


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
    values = {
        "rows": MadeUpRows(),
        "config": CONFIG,
        "row_tokens": ROW_TOKENS,
        "rows_per_step": 8,
        "micro_rows": 8,
        "mask_frac": 0.3,
        "seed": 0,
    }
    return TrainingRows(**{**values, **changes})


@dataclass
class Run:
    """One training with everything it said.

    Attributes:
        training: the loop.
        metrics: what was reported, in order.
        checkpoints: the steps they were written at.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    should_stop: Callable[["Run"], bool] = lambda run: False
    clock: Callable[[], float] | None = None
    device: str = "cpu"
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    checkpoints: list[int] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)
    num_validations: int = 0

    def __post_init__(self) -> None:
        self.model = MaskedLanguageModel(CONFIG)
        initialize(self.model, CONFIG, 0)
        self.model.to(self.device)
        self.optimizers = Optimizers(
            self.model,
            OptimizerSettings(
                learning_rate=1e-2, muon_learning_rate=5e-2, weight_decay=0.01, grad_clip=1.0
            ),
        )
        self.training = self._training()

    def _training(self) -> Training:
        settings = {
            "max_steps": 20,
            "warmup_frac": 0.1,
            "decay_frac": 0.4,
            "num_validations": 2,
            "num_checkpoints": 4,
            "precision": torch.float32,
            "device": torch.device("cpu"),
        }
        hooks = TrainingHooks(
            on_metrics=lambda step, values: self.metrics.append((step, values)),
            on_checkpoint=lambda state: self.checkpoints.append(state.step),
            on_progress=self.progress.append,
            validate=self._validate,
            should_stop=lambda: self.should_stop(self),
            **({} if self.clock is None else {"clock": self.clock}),
        )
        return Training(
            self.model,
            self.optimizers,
            training_rows(**self.rows),
            TrainingSettings(**{**settings, **self.settings}),
            hooks,
            TrainingState(),
        )

    def _validate(self) -> dict[str, float]:
        self.num_validations += 1
        return {"validation_loss": float(self.num_validations)}

    def losses(self) -> list[float]:
        return [values["train_loss"] for _, values in self.metrics if "train_loss" in values]
