"""Fitting of probes that have no closed form: a fixed number of Adam steps over batches.

Fixed, so that no layer gets more chances than another; ordered by a seed, so that it repeats.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Batch = TypeVar("Batch")


def descend(
    parameters: Sequence[Tensor],
    batches: Sequence[Batch],
    loss: Callable[[Batch], Tensor],
    *,
    num_steps: int,
    learning_rate: float,
    seed: int,
    weight_decay: float = 0.0,
) -> None:
    """Change `parameters` in place to lower the mean of `loss` over batches.

    Every round goes once through all batches in an order drawn from `seed`. The learning rate
    falls linearly to 0, which leaves the average over the last rounds' batches rather than a
    lean towards the last one.

    Args:
        parameters: leaves of any shape; they need no gradient before or after.
        batches: at least one.
        loss: of one batch, a scalar.
        num_steps: one batch each.
        learning_rate: of the first step.
        seed: of the order.
        weight_decay: share of each parameter taken off at a learning rate of 1.

    Source: Kingma and Ba 2015; Loshchilov and Hutter 2019 for the decay.
    """
    random = np.random.default_rng(seed)
    order = np.concatenate(
        [random.permutation(len(batches)) for _ in range(-(-num_steps // len(batches)))]
    )
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        list(parameters), lr=learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay
    )
    for step, index in enumerate(order[:num_steps]):
        optimizer.param_groups[0]["lr"] = learning_rate * (1 - step / num_steps)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward([loss(batches[index])])
        optimizer.step()
    for parameter in parameters:
        parameter.requires_grad_(False)
