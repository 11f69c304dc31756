"""Fresh weights from a seed, the same on every device and in any order of construction."""

import math

import torch
from torch import Tensor, nn

from model.config import EncoderConfig

CUTOFF = 2.0  # fresh weights lie within this many standard deviations


@torch.no_grad()
def initialize(model: nn.Module, config: EncoderConfig, seed: int) -> None:
    """Overwrites every parameter of an `Encoder` or `MaskedLanguageModel` with fresh values.

    Truncated normals of `config.initializer_range`; what adds to the residual stream, and the
    head, is smaller by the root of twice the number of layers, as in transformers' ModernBERT.
    Norms start at one, biases at zero. Uses a generator of its own on the CPU: neither the global
    random state nor the device matters.
    """
    generator = torch.Generator().manual_seed(seed)
    residual_std = config.initializer_range / math.sqrt(2.0 * config.num_layers)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        elif parameter.ndim == 1:
            parameter.fill_(1.0)
        else:
            narrow = name.endswith((".Wo.weight", "head.dense.weight"))
            std = residual_std if narrow else config.initializer_range
            parameter.copy_(_truncated_normal(parameter.shape, std, generator))


@torch.no_grad()
def scale_branches(model: nn.Module, factor: float) -> None:
    """Multiplies what attention and feed-forward of every layer add to the residual stream.

    At 0 the encoder sees each token by itself; at 1 nothing changes.
    """
    for name, parameter in model.named_parameters():
        if name.endswith(".Wo.weight"):
            parameter.mul_(factor)


def _truncated_normal(shape: torch.Size, std: float, generator: torch.Generator) -> Tensor:
    values = torch.empty(shape, dtype=torch.float32)
    nn.init.trunc_normal_(values, 0.0, std, -CUTOFF * std, CUTOFF * std, generator=generator)
    return values
