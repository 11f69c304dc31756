"""The contrastive loss: two spans of one document find each other among those of the others.

Shape letters: P pairs (documents of the batch), D embedding width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def contrastive_loss(
    first_PD: Tensor, second_PD: Tensor, *, temperature: float, dims: Sequence[int]
) -> Tensor:
    """InfoNCE in both directions with in-batch negatives, summed over Matryoshka dimensions.

    For each d in `dims` the first d numbers of every vector are brought to unit length; each
    first span must pick its partner among all second spans by cosine over `temperature`, and the
    other way round. The two cross entropies are averaged.

    Args:
        first_PD, second_PD: pooled vectors, any length, row p of both from document p.
        temperature: above 0; smaller looks harder at the nearest negatives.
        dims: prefixes to train, each in 1..D. A vector cut to one of them stays an embedding.

    Returns:
        a float32 scalar, in nats; ``len(dims) * log(P)`` where nothing has been learned.

    Source: van den Oord et al. 2018 (arXiv 1807.03748), equation 4; Kusupati et al. 2022
    (arXiv 2205.13147), equation 1 with equal weights.
    Cost: O(P^2 D) for each dimension.
    """
    losses = [_info_nce(first_PD[:, :d], second_PD[:, :d], temperature) for d in dims]
    return torch.stack(losses).sum()


def _info_nce(first_PD: Tensor, second_PD: Tensor, temperature: float) -> Tensor:
    first_PD = functional.normalize(first_PD.float(), dim=1)
    second_PD = functional.normalize(second_PD.float(), dim=1)
    scores_PP = first_PD @ second_PD.T / temperature
    partner_P = torch.arange(len(first_PD), device=first_PD.device)
    forward = functional.cross_entropy(scores_PP, partner_P)
    backward = functional.cross_entropy(scores_PP.T, partner_P)
    return (forward + backward) / 2
