"""Fresh attention heads that look at near neighbours, from the first update on.

What a masked token is can be told first from the tokens beside it. Fresh heads look everywhere
alike, and training stands still at the frequencies of tokens until some heads have found their
neighbours. So each head is given a place to look at, beside its own: all token vectors get one
component in common, and queries and keys read it, such that rotation makes their product highest
at that distance. The final norm hides the component, which tells nothing apart, from what reads
the hidden states. Nothing else about the model changes, and training may undo it.

The idea that fresh attention should look like trained attention is Trockman & Kolter's (2023,
"Mimetic initialization of self-attention layers"); the means, through rotary positions, is ours.

Letters: V vocabulary, D hidden width, H heads, E head size, F half of it.
"""

import math
from typing import cast

import torch
from torch import Tensor

from model.config import EncoderConfig
from model.encoder import EncoderLayer
from model.mlm import MaskedLanguageModel
from model.rotary import frequencies

COMMON = 0  # the component that all token vectors share
SHARE = 1.0  # its size, measured in that of a token's own part
SHARPNESS = 12.0  # of a score where the head looks: in nats above that of a place far away
SLOWEST = 0.05  # radians a token; slower turns cannot tell near places apart


@torch.no_grad()
def look_at_neighbours(model: MaskedLanguageModel, config: EncoderConfig) -> None:
    """Turns heads with fresh weights to the places +1, -1, +2, -2, … beside their own.

    Args:
        model: with fresh weights.
        config: its sizes.
    """
    encoder = model.model
    table_VD = encoder.embeddings.tok_embeddings.weight
    size = SHARE * math.sqrt(config.hidden_size)
    table_VD[:, COMMON] += size * table_VD.square().mean().sqrt()
    encoder.final_norm.weight[COMMON] = 0.0
    seen_size = size / math.sqrt(1 + SHARE**2)  # after a norm, which divides by all of a vector
    for layer in cast("list[EncoderLayer]", list(encoder.layers)):
        theta = config.global_rope_theta if layer.is_full else config.local_rope_theta
        queries_HE, keys_HE = _aims(config, theta)
        weight_3HED = layer.attn.Wqkv.weight.view(3, config.num_heads, config.head_size, -1)
        weight_3HED[0, :, :, COMMON] += queries_HE / seen_size
        weight_3HED[1, :, :, COMMON] += keys_HE / seen_size


def _aims(config: EncoderConfig, theta: float) -> tuple[Tensor, Tensor]:
    """Queries and keys ``HE`` of the common component whose product is highest at an offset.

    Turned by their positions i and j, they give the sum over the quick frequencies w of
    cos(w (i - j + offset)).
    """
    turns_F = frequencies(config.head_size, theta)
    quick_F = (turns_F > SLOWEST).float()
    sizes_F = quick_F * (SHARPNESS * math.sqrt(config.head_size) / quick_F.sum()).sqrt()
    numbers_H1 = torch.arange(config.num_heads)[:, None]
    offsets_H1 = (1 + numbers_H1 // 2) * (1 - 2 * (numbers_H1 % 2))
    queries_HE = torch.cat((sizes_F, torch.zeros_like(sizes_F))).expand(config.num_heads, -1)
    angles_HF = turns_F * offsets_H1
    keys_HE = torch.cat((sizes_F * angles_HF.cos(), -sizes_F * angles_HF.sin()), dim=1)
    return queries_HE, keys_HE
