"""Which device and precision to compute with, and how fast they can be at best."""

from functools import cache
from pathlib import Path

import torch

from model.errors import RequestError

# Dense bfloat16 peaks in floating point operations a second, from the makers' data sheets; the
# longest name that occurs in the device's name counts.
PEAK_FLOPS = {
    "A10": 125e12,
    "A100": 312e12,
    "H100": 989e12,
    "H100 PCIe": 756e12,
    "H200": 989e12,
    "L4": 121e12,
    "L40S": 362e12,
    "RTX 4090": 165e12,
}
# A processor with one of these multiplies bfloat16 natively; elsewhere it is emulated, slowly.
BF16_CPU_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        RequestError: no such device here, or a kind that is not supported.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise RequestError(f"device {name!r} is unknown; choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise RequestError(
            f"device {name!r} is not there: this machine has {torch.cuda.device_count()} CUDA "
            "devices; choose auto or cpu"
        )
    return device


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of matrix products: ``fp32``, ``bf16``, or for ``auto`` bf16 where it is native.

    Raises:
        RequestError: a name that is not one of these.
    """
    match name:
        case "fp32":
            return torch.float32
        case "bf16":
            return torch.bfloat16
        case "auto":
            return torch.bfloat16 if has_native_bf16(device) else torch.float32
        case _:
            raise RequestError(f"precision {name!r} is unknown; choose auto, fp32 or bf16")


def has_native_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(BF16_CPU_FLAGS & _cpu_flags())


def peak_flops(device: torch.device) -> float | None:
    """Bfloat16 operations a second that the device can do at most; None where unknown."""
    if device.type != "cuda":
        return None
    return peak_flops_of(torch.cuda.get_device_name(device))


def peak_flops_of(device_name: str) -> float | None:
    """The same by the device's name."""
    words = f" {device_name.replace('-', ' ')} "
    known = [name for name in PEAK_FLOPS if f" {name} " in words]
    return PEAK_FLOPS[max(known, key=len)] if known else None


@cache
def _cpu_flags() -> frozenset[str]:
    """What the processor says it can do; nothing where the system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(flags, "").split())
