"""The sizes an encoder comes in, the rates each is trained at, and what a size costs."""

from typing import Literal, NamedTuple

SizeName = Literal["tiny", "small", "base", "large"]


class Shape(NamedTuple):
    """Sizes of an encoder whatever its vocabulary; names as in `model.config.EncoderConfig`."""

    num_layers: int
    hidden_size: int
    num_heads: int
    intermediate_size: int
    local_attention: int
    global_attn_every_n_layers: int


class Rates(NamedTuple):
    """Peak learning rates; names as in `tasks.pretrain.config.PretrainConfig`."""

    learning_rate: float
    muon_learning_rate: float


# `base` and `large` have the sizes of ModernBERT-base and -large (Warner et al. 2024, table 4).
SIZES: dict[SizeName, Shape] = {
    "tiny": Shape(4, 128, 4, 192, 128, 1),
    "small": Shape(6, 384, 6, 576, 128, 1),
    "base": Shape(22, 768, 12, 1152, 128, 3),
    "large": Shape(28, 1024, 16, 2624, 128, 3),
}

# AdamW's of `base` and `large` are those of ModernBERT (Warner et al. 2024, section 2.2.2) and of
# Ettin (Weller et al. 2025, encoder_base.yaml and encoder_large.yaml), for batches of millions of
# tokens. Muon's updates are scaled to AdamW's, but bear several times its rate. Settings that leave
# a rate out have it from here: a change here is a change of output.
RATES: dict[SizeName, Rates] = {
    "tiny": Rates(2e-3, 1e-2),
    "small": Rates(2.5e-3, 3e-3),
    "base": Rates(8e-4, 3e-3),
    "large": Rates(5e-4, 2e-3),
}


def num_parameters(shape: Shape, vocab_size: int, *, tie_embeddings: bool = True) -> int:
    """Parameters of the masked language model.

    A tied decoder shares the embedding table; its bias is always its own. Every layer has two
    norms, but the first only one; norms stand also after the embeddings, at the end and in the
    head.
    """
    width = shape.hidden_size
    norms = (2 * shape.num_layers - 1 + 3) * width
    head = width * width
    tables = vocab_size * ((1 if tie_embeddings else 2) * width + 1)
    return tables + shape.num_layers * _layer_matrices(shape) + norms + head


def encoder_flops_per_token(shape: Shape, *, row_tokens: int) -> float:
    """Floating point operations of a forward and a backward pass through all layers, a token.

    Two for each weight forwards, twice that backwards (Kaplan et al. 2020, section 2.1). Attention
    is counted as if each row were one sequence: what the kernels for rows compute, and the most
    that those for sequences do.
    """
    seen = sum(_seen(shape, layer, row_tokens) for layer in range(shape.num_layers))
    return 6.0 * shape.num_layers * _layer_matrices(shape) + 12.0 * shape.hidden_size * seen


def training_flops_per_token(
    shape: Shape, vocab_size: int, *, row_tokens: int, mask_frac: float
) -> float:
    """Floating point operations that masked language modelling spends on one token of a full row.

    Those of the encoder, but the last layer past its keys and values, and the head, work on the
    masked part only; what a GPU's kernels do beyond that is not counted. A decoder of its own does
    as much work as a tied one: looking up embeddings is none.
    """
    width = shape.hidden_size
    last_layer = 6.0 * (_layer_matrices(shape) - 2 * width * width)
    last_layer += 12.0 * width * _seen(shape, shape.num_layers - 1, row_tokens)
    head = 6.0 * (width * width + width * vocab_size)
    encoder = encoder_flops_per_token(shape, row_tokens=row_tokens)
    return encoder - (1 - mask_frac) * last_layer + mask_frac * head


def _seen(shape: Shape, layer: int, row_tokens: int) -> int:
    """How many positions a position of that layer attends to."""
    is_full = layer % shape.global_attn_every_n_layers == 0
    return row_tokens if is_full else min(row_tokens, shape.local_attention)


def _layer_matrices(shape: Shape) -> int:
    width = shape.hidden_size
    return 4 * width * width + 3 * width * shape.intermediate_size
