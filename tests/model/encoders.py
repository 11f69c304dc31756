"""Encoders and batches for tests."""

import numpy as np
import torch

from model.batch import Batch, batch_from_rows
from model.config import EncoderConfig
from model.encoder import AttentionPath, Encoder
from model.initialization import initialize

IDS = {"cls_id": 2, "sep_id": 3, "pad_id": 0}


def stir(module: torch.nn.Module, scale: float = 0.2) -> None:
    """Move every weight, so that no term is lost in the smallness of fresh ones."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)


def lively_encoder(config: EncoderConfig, *, attention: AttentionPath = "auto") -> Encoder:
    """An encoder whose attention is far from even."""
    encoder = Encoder(config, attention=attention)
    initialize(encoder, config, 0)
    stir(encoder)
    return encoder


def random_batch(config: EncoderConfig) -> Batch:
    """Two rows of 40 with several sequences and padding in both."""
    generator = np.random.default_rng(0)
    rows = [
        [generator.integers(5, config.vocab_size, size=length) for length in lengths]
        for lengths in ((12, 1, 15), (30,))
    ]
    return batch_from_rows(rows, row_tokens=40, **IDS)
