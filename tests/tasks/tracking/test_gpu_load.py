"""What the driver's program prints becomes MLflow's metrics; a silent one is no failure.

The program here is a script that prints what an H200 and a MIG slice print.
"""

import os
from pathlib import Path

import pytest

from tasks.tracking.gpu_load import QUERY, GpuLoad, parse
from tasks.tracking.system import SystemSampler

ANSWER = "71680, 143771, 97, 612.25, 700.00\n10, 20096, [N/A], [N/A], [N/A]\n"


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_every_field_has_its_name_and_unit() -> None:
    assert parse(ANSWER.splitlines()) == {
        "gpu_0_memory_usage_megabytes": 75161.9,
        "gpu_0_memory_usage_percentage": 49.9,
        "gpu_0_utilization_percentage": 97.0,
        "gpu_0_power_usage_watts": 612.2,
        "gpu_0_power_usage_percentage": 87.5,
        "gpu_1_memory_usage_megabytes": 10.5,
        "gpu_1_memory_usage_percentage": 0.0,
    }
    assert parse([]) == {}


def test_the_program_is_asked_for_these_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = f'[ "$*" = "--query-gpu={QUERY} --format=csv,noheader,nounits" ] || exit 2'
    install(tmp_path, monkeypatch, f"{asked}\nprintf '{ANSWER}'")
    load = GpuLoad()
    load.collect_metrics()
    assert load.aggregate_metrics() == parse(ANSWER.splitlines())
    load.clear_metrics()
    assert load.aggregate_metrics() == {}


@pytest.mark.parametrize("body", ["exit 9", "printf '\\377\\376'", "echo no devices were found"])
def test_a_driver_that_does_not_answer_gives_nothing(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, body)
    load = GpuLoad()
    load.collect_metrics()
    assert load.aggregate_metrics() == {}


def test_without_the_program_there_is_no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError):
        GpuLoad()


def test_the_sampler_sends_processor_memory_and_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, f"printf '{ANSWER}'")
    samples: list[dict[str, float]] = []
    sampler = SystemSampler(lambda values, step: (samples.append(dict(values)), sampler.stop()))
    sampler.start()
    sampler.join(30)
    [sample] = samples
    assert sample["system/gpu_0_utilization_percentage"] == 97.0
    assert sample["system/gpu_0_memory_usage_megabytes"] > 70_000
    assert 0 < sample["system/system_memory_usage_percentage"] <= 100
    assert "system/cpu_utilization_percentage" in sample
