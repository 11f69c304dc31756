"""The sizes an encoder comes in, and what a size costs."""

from typing import Literal, NamedTuple

SizeName = Literal["tiny", "small", "base"]


class Shape(NamedTuple):
    """Sizes of an encoder whatever its vocabulary; names as in `model.config.EncoderConfig`."""

    num_layers: int
    hidden_size: int
    num_heads: int
    intermediate_size: int
    local_attention: int
    global_attn_every_n_layers: int


# `base` has the sizes of ModernBERT-base (Warner et al. 2024, table 4).
SIZES: dict[SizeName, Shape] = {
    "tiny": Shape(4, 128, 4, 192, 128, 1),
    "small": Shape(6, 384, 6, 576, 128, 1),
    "base": Shape(22, 768, 12, 1152, 128, 3),
}


def num_parameters(shape: Shape, vocab_size: int) -> int:
    """Parameters of the masked language model; the decoder shares the embedding table.

    Every layer has two norms, but the first only one; norms stand also after the embeddings, at
    the end and in the head.
    """
    width = shape.hidden_size
    norms = (2 * shape.num_layers - 1 + 3) * width
    head = width * width
    return vocab_size * (width + 1) + shape.num_layers * _layer_matrices(shape) + norms + head


def encoder_flops_per_token(shape: Shape, *, row_tokens: int) -> float:
    """Floating point operations of a forward and a backward pass through all layers, a token.

    Two for each weight forwards, twice that backwards (Kaplan et al. 2020, section 2.1). Attention
    is counted as if each row were one sequence: what the kernels for rows compute, and the most
    that those for sequences do.
    """
    full_layers = -(-shape.num_layers // shape.global_attn_every_n_layers)
    window = min(row_tokens, shape.local_attention)
    seen = full_layers * row_tokens + (shape.num_layers - full_layers) * window
    return 6.0 * shape.num_layers * _layer_matrices(shape) + 12.0 * shape.hidden_size * seen


def training_flops_per_token(
    shape: Shape, vocab_size: int, *, row_tokens: int, mask_frac: float
) -> float:
    """Floating point operations that masked language modelling spends on one token of a full row.

    Those of the encoder, but the last layer past its attention, and the head, work on the masked
    part only.
    """
    width = shape.hidden_size
    spared = (1 - mask_frac) * (_layer_matrices(shape) - 3 * width * width)
    head_weights = mask_frac * (width * width + width * vocab_size)
    return encoder_flops_per_token(shape, row_tokens=row_tokens) + 6.0 * (head_weights - spared)


def _layer_matrices(shape: Shape) -> int:
    width = shape.hidden_size
    return 4 * width * width + 3 * width * shape.intermediate_size
