"""The contrastive training loop: an encoder learns which spans come from one document.

Shape letters: B rows, L positions in a row, D hidden width, S sequences (all first spans, then all
second ones).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.batch import batch_from_sequences
from model.contrastive import contrastive_loss
from model.embedding import autocast
from model.encoder import Encoder
from model.errors import ArtifactError, TrainingError
from model.finite import are_finite
from model.pooling import sum_pool
from model.schedule import rate_factor
from model.token_weights import TokenWeights

Spans = Sequence[NDArray[np.integer]]

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_LOG_WEIGHTS = "token_weights.log"


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """What an update depends on besides its spans.

    Attributes:
        max_steps: updates of the whole run; the learning rate ends at zero there.
        learning_rate: of AdamW, at its peak.
        embedding_learning_rate: the same for the embedding table, whose rows learn only when
            their token occurs.
        weight_learning_rate: the same for the logarithms of the tokens' weights.
        warmup_frac: part of the run in which the rate rises.
        weight_decay: decoupled, on matrices; not on norms.
        temperature: of the contrastive loss.
        matryoshka_dims: prefixes of the vector that are trained.
        max_grad_norm: gradients are scaled down to this norm.
    """

    max_steps: int
    learning_rate: float
    embedding_learning_rate: float
    weight_learning_rate: float
    warmup_frac: float
    weight_decay: float
    temperature: float
    matryoshka_dims: tuple[int, ...]
    max_grad_norm: float = 1.0


def rate_factor_at(step: int, settings: TuningSettings) -> float:
    """Share of the peak rates at update number `step`, from 0: a linear rise, then a fall to 0."""
    return rate_factor(
        (step + 0.5) / settings.max_steps,
        warmup_frac=settings.warmup_frac,
        decay_frac=1.0 - settings.warmup_frac,
    )


class Tuner:
    """An encoder and its token weights under contrastive training, with the optimizer's state.

    Their future depends on the encoder's weights, `state_tensors` and the step only.
    """

    def __init__(
        self,
        encoder: Encoder,
        weights: TokenWeights,
        settings: TuningSettings,
        *,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.encoder = encoder
        self.weights = weights
        self.settings = settings
        self._precision = precision
        self._device = next(encoder.parameters()).device
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(encoder, weights, settings), lr=0.0, fused=True
        )

    def update(self, step: int, firsts: Spans, seconds: Spans) -> float:
        """Do update number `step` (from 0) on P pairs of spans and return the loss in nats.

        Raises:
            TrainingError: the loss, a gradient or a weight is no longer finite.
        """
        self.encoder.train()
        for group in self._optimizer.param_groups:
            group["lr"] = rate_factor_at(step, self.settings) * group["peak_lr"]
        loss = self._loss(firsts, seconds)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self._parameters().values(), self.settings.max_grad_norm)
        if not torch.isfinite(norm + loss.detach()):
            raise TrainingError(
                f"tune step {step}: the loss is {loss.item():.4g} and its gradient {norm:.4g}: "
                "lower tune.learning_rate or raise tune.temperature"
            )
        self._optimizer.step()
        if not are_finite(self._parameters().values()):
            raise TrainingError(
                f"tune step {step}: the update leaves weights that are not finite: run it again, "
                "and if that does not help lower tune.learning_rate"
            )
        return float(loss.item())

    def state_tensors(self) -> dict[str, Tensor]:
        """The token weights' logarithms, and the optimizer's state by ``moment.parameter``, which
        before the first update there is none of."""
        moments = {
            f"{moment}.{name}": self._optimizer.state[parameter][moment]
            for name, parameter in self._parameters().items()
            for moment in _MOMENTS
            if parameter in self._optimizer.state
        }
        return {_LOG_WEIGHTS: self.weights.log_weights_V.detach(), **moments}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up a state that `state_tensors` gave.

        Raises:
            ArtifactError: a tensor is absent, or its shape is not its parameter's.
        """
        with torch.no_grad():
            self.weights.log_weights_V.copy_(_tensor(tensors, _LOG_WEIGHTS))
        if len(tensors) == 1:
            return
        for name, parameter in self._parameters().items():
            moments = {moment: _tensor(tensors, f"{moment}.{name}") for moment in _MOMENTS}
            if moments["exp_avg"].shape != parameter.shape:
                raise ArtifactError(f"the checkpoint's optimizer state does not fit {name}")
            self._optimizer.state[parameter] = {
                moment: tensor.to(self._device) for moment, tensor in moments.items()
            }

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {
            **dict(self.encoder.named_parameters()),
            _LOG_WEIGHTS: self.weights.log_weights_V,
        }

    def _loss(self, firsts: Spans, seconds: Spans) -> Tensor:
        config = self.encoder.config
        batch = batch_from_sequences(
            [*firsts, *seconds],
            row_tokens=None,
            cls_id=config.cls_id,
            sep_id=config.sep_id,
            pad_id=config.pad_id,
        ).to(self._device)
        with autocast(self._device, self._precision):
            hidden_BLD = self.encoder(batch)
        vectors_SD = sum_pool(hidden_BLD, batch, self.weights())
        return contrastive_loss(
            vectors_SD[: len(firsts)],
            vectors_SD[len(firsts) :],
            temperature=self.settings.temperature,
            dims=self.settings.matryoshka_dims,
        )


def train(
    tuner: Tuner,
    draw: Callable[[int], tuple[Spans, Spans]],
    *,
    first_step: int,
    on_step: Callable[[int, float], None],
    is_enough: Callable[[], bool] = lambda: False,
) -> None:
    """Run the updates from `first_step` to the last, or until it is enough.

    Args:
        draw: the span pairs of a step; a pure function of it.
        first_step: updates that were done before.
        on_step: hears, after each update, how many are done and the loss of the last.
        is_enough: asked before each update.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    for step in range(first_step, tuner.settings.max_steps):
        if is_enough():
            return
        loss = tuner.update(step, *draw(step))
        on_step(step + 1, loss)


def _tensor(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    try:
        return tensors[name]
    except KeyError:
        raise ArtifactError(f"the checkpoint has no {name}") from None


def _parameter_groups(
    encoder: Encoder, weights: TokenWeights, settings: TuningSettings
) -> list[dict[str, object]]:
    table = encoder.embeddings.tok_embeddings.weight
    others = [parameter for parameter in encoder.parameters() if parameter is not table]
    return [
        {
            "params": [table],
            "peak_lr": settings.embedding_learning_rate,
            "weight_decay": settings.weight_decay,
        },
        {
            "params": [parameter for parameter in others if parameter.ndim > 1],
            "peak_lr": settings.learning_rate,
            "weight_decay": settings.weight_decay,
        },
        {
            "params": [parameter for parameter in others if parameter.ndim <= 1],
            "peak_lr": settings.learning_rate,
            "weight_decay": 0.0,
        },
        {
            "params": [weights.log_weights_V],
            "peak_lr": settings.weight_learning_rate,
            "weight_decay": 0.0,
        },
    ]
