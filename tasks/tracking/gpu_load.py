"""The load of NVIDIA GPUs as their driver's own program tells it, under MLflow's metric names.

MLflow asks a library that it does not bring along. `nvidia-smi` comes with the driver, sees all
processes of the machine and makes no CUDA context in ours.
"""

import contextlib
import subprocess
from collections.abc import Iterable

from tasks.runtime.gpu_driver import PROGRAM, ask_driver, find_driver

QUERY = "memory.used,memory.total,utilization.gpu,power.draw,enforced.power.limit"
TIMEOUT_S = 5.0
MEGABYTES_PER_MIB = 2**20 / 1e6


class GpuLoad:
    """A monitor like MLflow's; a sample takes some 50 ms of another process.

    Raises:
        FileNotFoundError: there is no `nvidia-smi`, so no GPU that it could tell of.
    """

    def __init__(self) -> None:
        program = find_driver()
        if program is None:
            raise FileNotFoundError(f"{PROGRAM} is not installed")
        self._program = program
        self._values: dict[str, float] = {}

    def collect_metrics(self) -> None:
        """Ask once; a driver that does not answer gives no values."""
        with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
            self._values = parse(ask_driver(self._program, QUERY, timeout_s=TIMEOUT_S))

    def aggregate_metrics(self) -> dict[str, float]:
        """The values of the sample."""
        return self._values

    def clear_metrics(self) -> None:
        """Forget them."""
        self._values = {}


def parse(answer: Iterable[str]) -> dict[str, float]:
    """Metrics from a line of `QUERY` for each GPU; what a device does not tell is left out."""
    values: dict[str, float] = {}
    for number, line in enumerate(answer):
        used, total, busy, watts, most_watts = map(_number, line.split(","))
        measured = {
            "memory_usage_megabytes": None if used is None else used * MEGABYTES_PER_MIB,
            "memory_usage_percentage": _percentage(used, total),
            "utilization_percentage": busy,
            "power_usage_watts": watts,
            "power_usage_percentage": _percentage(watts, most_watts),
        }
        values |= {
            f"gpu_{number}_{name}": round(value, 1)
            for name, value in measured.items()
            if value is not None
        }
    return values


def _percentage(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else 100 * part / whole


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:  # "[N/A]"
        return None
