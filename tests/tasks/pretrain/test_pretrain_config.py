import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.batch import batch_from_rows
from model.config import EncoderConfig
from model.mlm import MaskedLanguageModel
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.sizes import SIZES, Shape, num_parameters, training_flops_per_token
from tests.model.encoders import IDS


def test_the_shape_is_the_size_with_what_is_set() -> None:
    assert PretrainConfig(size="small").shape == SIZES["small"]
    changed = PretrainConfig(size="small", num_layers=2, num_heads=12).shape
    assert changed == SIZES["small"]._replace(num_layers=2, num_heads=12)


@pytest.mark.parametrize(
    "settings",
    [
        {"num_heads": 7},
        {"num_heads": 128},
        {"hidden_size": 100},
        {"size": "base", "num_heads": 5},
    ],
)
def test_heads_that_do_not_divide_the_width_name_the_setting(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"pretrain\.num_heads = \d+ must divide") as caught:
        PretrainConfig(**settings)
    assert [error["loc"] for error in caught.value.errors()] == [("num_heads",)]


def test_phases_must_fit_the_run() -> None:
    with pytest.raises(ValidationError, match=r"= 1\.3 must not exceed 1"):
        PretrainConfig(warmup_frac=0.8, decay_frac=0.5)


@pytest.mark.parametrize(
    "settings", [{"max_steps": 0}, {"mask_frac": 1.0}, {"num_checkpoints": 3}, {"sead": 1}]
)
def test_values_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PretrainConfig(**settings)


def test_where_it_runs_and_lies_is_no_part_of_the_identity() -> None:
    elsewhere = PretrainConfig(device="cuda:1", init_from=Path("/some/where"))
    assert elsewhere.identity() == PretrainConfig().identity()
    assert PretrainConfig(micro_rows=4).identity() != PretrainConfig().identity()


@pytest.mark.parametrize("shape", [*SIZES.values(), Shape(1, 16, 2, 24, 8, 1)])
@pytest.mark.parametrize("vocab_size", [64, 4096])
def test_parameters_are_counted_as_torch_counts_them(shape: Shape, vocab_size: int) -> None:
    with torch.device("meta"):
        model = MaskedLanguageModel(EncoderConfig(vocab_size=vocab_size, **shape._asdict()))
    assert num_parameters(shape, vocab_size) == sum(p.numel() for p in model.parameters())


def test_flops_are_those_of_the_operations() -> None:
    """Beside a count of every matrix product in one forward pass, thrice that for training."""
    shape = Shape(3, 32, 2, 48, 8, 1)
    model = MaskedLanguageModel(EncoderConfig(vocab_size=128, **shape._asdict()))
    batch = batch_from_rows([[torch.arange(5, 67).numpy()]], row_tokens=64, **IDS)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(batch, torch.arange(16)).sum().backward()
    expected = training_flops_per_token(shape, 128, row_tokens=64, mask_frac=0.25) * 64
    assert counter.get_total_flops() == pytest.approx(expected)


def test_settings_and_sizes_need_no_torch() -> None:
    code = "import tasks.pretrain.config, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
