"""Sentences whose words' states hold their tree, for tests of probes that look for it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tests.model.test_trees import random_heads


@dataclass(frozen=True)
class Treebank:
    """Words of all sentences, one after another."""

    states_ND: Tensor
    head_N: Tensor
    length_A: Tensor


def planted_trees(num_sentences: int, *, width: int, seed: int, longest: int = 14) -> Treebank:
    """Squared distances of states are near to tree distances, turned and with noise beside them.

    Half of the width holds for each word its head's vector plus a random one of length 1; the
    rest is noise.
    """
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, longest + 1, (num_sentences,), generator=generator)
    heads = [random_heads(int(n), seed * 10_000 + index) for index, n in enumerate(lengths)]
    inside = width // 2
    steps = torch.randn(int(lengths.sum()), inside, generator=generator) / inside**0.5
    place = torch.zeros_like(steps)
    start = 0
    for row in heads:
        for word in range(len(row)):
            above = word + 1
            while above:
                place[start + word] += steps[start + above - 1]
                above = row[above - 1]
        start += len(row)
    noise = torch.randn(len(steps), width - inside, generator=generator)
    turn = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(9))).Q
    states = torch.cat([place, noise], dim=1) @ turn
    return Treebank(states, torch.tensor([head for row in heads for head in row]), lengths)
