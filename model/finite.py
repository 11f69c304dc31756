"""Sees that weights and measures are numbers: what is not finite must come into no artifact."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from model.errors import ArtifactError, TrainingError


def are_finite(weights: Iterable[Tensor]) -> bool:
    """Whether all values are, and so small that the sum of their squares is.

    Cost: one pass over the weights, as clipping their gradients takes.
    """
    with torch.no_grad():
        return bool(nn.utils.get_total_norm(list(weights)).isfinite())


def refuse_broken(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Sees that weights read from a folder, by name, are finite: no rate trains others further.

    Raises:
        ArtifactError: some are not.
    """
    for name, value in weights.items():
        if not value.isfinite().all():
            raise ArtifactError(
                f"{folder}: {name} has values that are not finite; choose an earlier checkpoint"
            )


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
