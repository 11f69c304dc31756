import pytest
import torch

from model.errors import RequestError
from tasks.runtime import devices
from tasks.runtime.devices import (
    has_native_bf16,
    peak_flops,
    peak_flops_of,
    pick_device,
    pick_precision,
)

CPU = torch.device("cpu")


def test_the_cpu_can_be_asked_for() -> None:
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["mps", "meta", "gpu", "", "cuda:x"])
def test_unknown_devices_are_refused(name: str) -> None:
    with pytest.raises(RequestError, match="is unknown; choose auto, cpu"):
        pick_device(name)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(RequestError, match=r"this machine has \d+ CUDA devices"):
        pick_device("cuda:99")


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        ({"avx2"}, torch.float32),
        (set(), torch.float32),
        ({"avx2", "amx_bf16"}, torch.bfloat16),
        ({"avx512_bf16"}, torch.bfloat16),
    ],
)
def test_auto_takes_bfloat16_where_it_is_native(
    flags: set[str], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_cpu_flags", lambda: frozenset(flags))
    assert pick_precision("auto", CPU) == dtype
    assert has_native_bf16(CPU) == (dtype == torch.bfloat16)
    assert pick_precision("fp32", CPU) == torch.float32
    assert pick_precision("bf16", CPU) == torch.bfloat16
    with pytest.raises(RequestError, match="choose auto, fp32 or bf16"):
        pick_precision("fp8", CPU)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
        ("NVIDIA GH200 480GB", None),
        ("Tesla T4", None),
    ],
)
def test_peaks_are_known_by_name_or_not_at_all(name: str, peak: float | None) -> None:
    assert peak_flops_of(name) == peak
    assert peak_flops(CPU) is None
