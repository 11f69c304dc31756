"""Sees that an update has left numbers: what is not finite must come into no checkpoint."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def are_finite(weights: Iterable[Tensor]) -> bool:
    """Whether all values are, and so small that the sum of their squares is.

    Cost: one pass over the weights, as clipping their gradients takes.
    """
    with torch.no_grad():
        return bool(nn.utils.get_total_norm(list(weights)).isfinite())
