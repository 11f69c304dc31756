import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.sizes import SIZES


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
        {"size": "large", "num_heads": 12},
    ],
)
def test_heads_that_do_not_divide_the_width_name_the_setting(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"pretrain\.num_heads = \d+ must divide") as caught:
        PretrainConfig(**settings)
    assert [error["loc"] for error in caught.value.errors()] == [("num_heads",)]


def test_rates_fall_from_the_end_of_the_warm_up_unless_told_otherwise() -> None:
    assert PretrainConfig().falling_frac == pytest.approx(0.95)
    assert PretrainConfig(warmup_frac=0.2).falling_frac == pytest.approx(0.8)
    assert PretrainConfig(decay_frac=0.4).falling_frac == 0.4


def test_phases_must_fit_the_run() -> None:
    with pytest.raises(ValidationError, match=r"= 1\.3 must not exceed 1"):
        PretrainConfig(warmup_frac=0.8, decay_frac=0.5)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_steps": 0},
        {"mask_frac": 1.0},
        {"num_checkpoints": 3},
        {"sead": 1},
        {"size": "huge"},
        {"mask_shares": (0.8, 0.1, 0.2)},
        {"mask_shares": (1.2, -0.1, -0.1)},
        {"initial_rows_per_step": 17},
        {"num_nodes": 2},
        {"num_processes": 0},
        {"num_processes": "all"},
    ],
)
def test_values_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PretrainConfig(**settings)


def test_where_it_runs_and_lies_is_no_part_of_the_identity() -> None:
    elsewhere = PretrainConfig(device="cuda:1", init_from=Path("/some/where"))
    assert elsewhere.identity() == PretrainConfig().identity()
    assert PretrainConfig(micro_rows=4).identity() != PretrainConfig().identity()


def test_settings_and_sizes_need_no_torch() -> None:
    code = "import tasks.pretrain.config, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
