"""A small masked language model and sequences with gaps, for tests of what is read off it."""

from dataclasses import replace

import numpy as np
import torch

from model.config import EncoderConfig
from model.initialization import initialize
from model.masked_sequences import gap_batches, mask_sequences
from model.masking import MaskedRow
from model.mlm import MaskedLanguageModel
from tests.model.encoders import stir

CONFIG = EncoderConfig(
    vocab_size=60,
    hidden_size=24,
    num_layers=4,
    num_heads=3,
    intermediate_size=20,
    local_attention=6,
    global_attn_every_n_layers=2,
)


def lively_model(config: EncoderConfig = CONFIG) -> MaskedLanguageModel:
    """A model whose layers and heads all matter."""
    model = MaskedLanguageModel(config)
    initialize(model, config, 0)
    stir(model)
    return model.eval()


def gapped(num_sequences: int = 12, config: EncoderConfig = CONFIG) -> list[MaskedRow]:
    """Sequences of 1 to 40 tokens, some of them shown as [MASK]."""
    generator = np.random.default_rng(1)
    own = [
        generator.integers(5, config.vocab_size, size=int(generator.integers(1, 41)))
        for _ in range(num_sequences)
    ]
    return mask_sequences(own, config, mask_frac=0.15, seed=0)


@torch.inference_mode()
def own_losses(
    model: MaskedLanguageModel, masked: list[MaskedRow]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed loss and right guesses of each sequence by itself, as training computes them."""
    sums = []
    for one in masked:
        (gaps,) = gap_batches([one], model.config, tokens_per_batch=1, device=torch.device("cpu"))
        logits = model(gaps.batch, gaps.positions_M)
        loss = torch.nn.functional.cross_entropy(logits, gaps.targets_M, reduction="sum")
        sums.append((loss.double(), (logits.argmax(-1) == gaps.targets_M).sum().double()))
    loss_S, right_S = zip(*sums, strict=True)
    return torch.stack(loss_S), torch.stack(right_S)


@torch.inference_mode()
def as_guessed(model: MaskedLanguageModel, masked: list[MaskedRow]) -> list[MaskedRow]:
    """The same gaps, with what the model guesses as the truth."""
    guessed = []
    for one in masked:
        (gaps,) = gap_batches([one], model.config, tokens_per_batch=1, device=torch.device("cpu"))
        best_M = model(gaps.batch, gaps.positions_M).argmax(-1)
        guessed.append(replace(one, targets_M=best_M.numpy()))
    return guessed
