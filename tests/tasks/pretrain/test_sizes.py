"""What an encoder of each size has and costs, beside what torch counts."""

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.batch import batch_from_rows
from model.config import EncoderConfig
from model.mlm import MaskedLanguageModel
from tasks.pretrain.sizes import (
    RATES,
    SIZES,
    Shape,
    SizeName,
    num_parameters,
    training_flops_per_token,
)
from tests.model.encoders import IDS


@pytest.mark.parametrize("shape", [*SIZES.values(), Shape(1, 16, 2, 24, 8, 1)])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("vocab_size", [64, 4096])
def test_parameters_are_counted_as_torch_counts_them(
    shape: Shape, tied: bool, vocab_size: int
) -> None:
    config = EncoderConfig(vocab_size=vocab_size, **shape._asdict())
    with torch.device("meta"):
        model = MaskedLanguageModel(replace(config, tie_embeddings=tied))
    counted = num_parameters(shape, vocab_size, tie_embeddings=tied)
    assert counted == sum(parameter.numel() for parameter in model.parameters())


def test_base_and_large_are_as_large_as_modernbert() -> None:
    """149 and 395 million parameters (Warner et al. 2024, section 2.1.3)."""
    assert num_parameters(SIZES["base"], 50368) // 10**6 == 149
    assert num_parameters(SIZES["large"], 50368) // 10**6 == 395


@pytest.mark.parametrize("tied", [True, False])
def test_flops_are_those_of_the_operations(tied: bool) -> None:
    """Beside a count of every matrix product in one forward pass, thrice that for training."""
    shape = Shape(3, 32, 2, 48, 8, 1)
    config = EncoderConfig(vocab_size=128, tie_embeddings=tied, **shape._asdict())
    model = MaskedLanguageModel(config)
    batch = batch_from_rows([[torch.arange(5, 67).numpy()]], row_tokens=64, **IDS)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(batch, torch.arange(16)).sum().backward()
    expected = training_flops_per_token(shape, 128, row_tokens=64, mask_frac=0.25) * 64
    assert counter.get_total_flops() == pytest.approx(expected)


def test_every_size_has_rates_and_wider_ones_take_smaller_steps() -> None:
    assert list(RATES) == list(SIZES) == list(get_args(SizeName))
    assert RATES["base"] == (8e-4, 3e-3)
    assert RATES["large"] == (5e-4, 2e-3)
    assert RATES["small"].learning_rate > RATES["base"].learning_rate
