"""Fresh weights from a seed, the same on every device and in any order of construction."""

import math

import torch
from torch import Tensor, nn

from model.config import Sizes
from model.mlm import MaskedLanguageModel

CUTOFF = 2.0  # fresh weights lie within this many standard deviations
NARROW = (".Wo.weight", "head.dense.weight", "decoder.weight")
# What has a row for each token of the vocabulary; a tied decoder is the first of them.
TOKEN_ROWS = ("model.embeddings.tok_embeddings.weight", "decoder.weight", "decoder.bias")


@torch.no_grad()
def initialize(model: nn.Module, config: Sizes, seed: int) -> None:
    """Overwrites every parameter of an encoder or a masked language model with fresh values.

    Truncated normals of `config.initializer_range`; what adds to the residual stream, the head
    and a decoder of its own are smaller by the root of twice the number of layers, as in
    transformers' ModernBERT.
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
            std = residual_std if name.endswith(NARROW) else config.initializer_range
            parameter.copy_(_truncated_normal(parameter.shape, std, generator))


@torch.no_grad()
def predict_frequencies(model: MaskedLanguageModel, counts_V: Tensor) -> None:
    """Lets the decoder's bias say how often each token is, so that training need not learn it.

    Args:
        model: with fresh weights.
        counts_V: how often each token stands in the training text; raised by one each.
    """
    shares_V = (counts_V.double() + 1) / (counts_V.sum() + len(counts_V))
    model.decoder.bias.copy_(shares_V.log())


@torch.no_grad()
def continue_from(
    model: MaskedLanguageModel, given: MaskedLanguageModel, given_ids_V: Tensor, seed: int
) -> None:
    """Overwrites a model with another whose tokens have other ids.

    A token that the other lacks starts at the mean of all that it has, so that it is at first
    neither likelier nor less likely than they are (Hewitt 2021, "Initializing New Word Embeddings
    for Pretrained Language Models"), spread as fresh weights are.

    Args:
        model: all its sizes but the vocabulary are those of `given`.
        given: where the weights come from.
        given_ids_V: int64; the id in `given` of each of the model's tokens, -1 where it has none.
        seed: of the spread.
    """
    generator = torch.Generator().manual_seed(seed)
    is_new_V = given_ids_V < 0
    weights = given.state_dict()
    for name, parameter in model.named_parameters():
        value = weights[name]
        if name in TOKEN_ROWS:
            value = value[given_ids_V.clamp(min=0)]
            value[is_new_V] = value[~is_new_V].mean(dim=0)
        if name in TOKEN_ROWS and value.ndim == 2:
            shape = value[is_new_V].shape
            value[is_new_V] += _truncated_normal(shape, model.config.initializer_range, generator)
        parameter.copy_(value)


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
