"""The machine's load beside the run: MLflow's system metrics, sent through our queue."""

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from tasks.tracking.gpu_load import GpuLoad

INTERVAL_S = 10.0


class SystemSampler(threading.Thread):
    """Measures processor, memory, disk, network and GPUs every 10 s.

    MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false turns it off, MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL
    sets another interval, as in MLflow.
    """

    def __init__(self, emit: Callable[[Mapping[str, float], int], None]) -> None:
        """`emit` takes named values and the number of the sample."""
        super().__init__(name="corpusmith-system-metrics", daemon=True)
        self._emit = emit
        self._over = threading.Event()
        self._interval_s = float(
            os.environ.get("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL") or INTERVAL_S
        )
        switch = os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
        self._is_wanted = switch.lower() not in ("false", "0")

    def run(self) -> None:
        """Sample at once, then at every interval, until `stop`."""
        if not self._is_wanted:
            return
        monitors = _monitors()
        step = 0
        while not self._over.is_set():
            self._emit(_sample(monitors), step)
            step += 1
            self._over.wait(self._interval_s)

    def stop(self) -> None:
        """Sample no more."""
        self._over.set()


def _monitors() -> list[Any]:
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    for monitor in (GPUMonitor, GpuLoad):  # MLflow's own has to have a library that we do not bring
        with contextlib.suppress(Exception):  # no NVIDIA device, or nothing to ask it with
            return [*monitors, monitor()]
    return monitors


def _sample(monitors: list[Any]) -> dict[str, float]:
    values: dict[str, float] = {}
    for monitor in monitors:
        monitor.collect_metrics()
        measured = monitor.aggregate_metrics()
        values |= {f"system/{name}": float(value) for name, value in measured.items()}
        monitor.clear_metrics()
    return values
