"""Sees that an update has left numbers: what is not finite must come into no checkpoint."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from model.errors import TrainingError


def are_finite(weights: Iterable[Tensor]) -> bool:
    """Whether all values are, and so small that the sum of their squares is.

    Cost: one pass over the weights, as clipping their gradients takes.
    """
    with torch.no_grad():
        return bool(nn.utils.get_total_norm(list(weights)).isfinite())


def refuse_no_numbers(measures: Mapping[str, float], step: int) -> None:
    """Sees that measures of a model in pretraining after that step are finite.

    Raises:
        TrainingError: one is not.
    """
    for name, value in measures.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{name} is {value} after step {step}; lower pretrain.muon_learning_rate and "
                "pretrain.learning_rate"
            )
