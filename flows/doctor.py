"""Examines this machine, installation and its servers before a night's run finds out."""

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from typing import Any

import psutil

from flows.checks.check import Check, check
from flows.checks.clock import clock_check
from flows.checks.place import disk_check, permission_check
from flows.checks.ports import port_check
from flows.checks.servers import given_servers, server_checks
from flows.checks.storage import place_of, storage_checks
from model.errors import CorpusmithError
from tasks.runtime.gpu_driver import PROGRAM, ask_driver, find_driver

LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers", "prefect", "mlflow")
MIN_MEMORY_BYTES = 4_000_000_000
MIN_GPU_FREE_FRAC = 0.5
DRIVER_TIMEOUT_S = 10.0


def examine(workspace: str) -> dict[str, Any]:
    """Every check with what was found; takes some seconds, most of them to load torch."""
    place = place_of(workspace)
    servers = given_servers()
    checks = [
        _python(),
        _libraries(),
        _orchestrator(),
        _memory(),
        permission_check(place),
        disk_check(place),
        *storage_checks(workspace),
        _devices(),
        *server_checks(servers),
        port_check(),
        clock_check(place, servers),
    ]
    return {"checks": checks}


def verdict(answer: dict[str, Any]) -> CorpusmithError | None:
    """What to raise where a check has failed: all that did, each with what to do about it."""
    failed = [f"{each['name']}: {each['finding']}" for each in answer["checks"] if not each["ok"]]
    return CorpusmithError("; ".join(failed)) if failed else None


def _python() -> Check:
    fits = sys.version_info >= (3, 11)
    advice = "" if fits else ": at least 3.11 is needed"
    return check("python", fits, platform.python_version() + advice)


def _libraries() -> Check:
    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return check("libraries", False, f"{', '.join(missing)} missing: run `make .venv`")
    return check("libraries", True, ", ".join(found))


def _orchestrator() -> Check:
    """Prefect's server cannot be imported beside some versions of fastapi."""
    version = importlib.metadata.version("fastapi")
    major, minor = (int(part) for part in version.split(".")[:2])
    fits = (major, minor) == (0, 139)
    advice = "" if fits else ": Prefect needs 0.139, run `make .venv`"
    return check("fastapi", fits, version + advice)


def _memory() -> Check:
    total = psutil.virtual_memory().total
    enough = total >= MIN_MEMORY_BYTES
    finding = f"{total / 1e9:.1f} GB, {os.cpu_count()} processors"
    return check("memory", enough, finding if enough else f"{finding}: at least 4 GB are needed")


def _devices() -> Check:
    """The GPUs torch can use; a warning where it cannot use the driver's, or one is full."""
    if importlib.util.find_spec("torch") is None:
        return check("devices", "warning", "not known without torch")
    import torch

    if not torch.cuda.is_available():
        return _without_gpu(torch.version.cuda)
    told, full = [], []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        told.append(f"{name}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free")
        if free < MIN_GPU_FREE_FRAC * total:
            full.append(f"GPU {index}")
    finding = f"{'; '.join(told)}; CUDA {torch.version.cuda}"
    if full:
        advice = f"others use {', '.join(full)}: see nvidia-smi"
        return check("devices", "warning", f"{finding}; {advice}")
    return check("devices", True, finding)


def _without_gpu(cuda: str | None) -> Check:
    program = find_driver()
    if program is None:
        return check("devices", True, "processor only")
    try:
        names = ask_driver(program, "name", timeout_s=DRIVER_TIMEOUT_S)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        advice = "if there is a GPU, repair its driver"
        return check("devices", "warning", f"processor only; {PROGRAM} fails ({error}): {advice}")
    if not names:
        return check("devices", True, "processor only")
    why = "the driver is too old for it" if cuda else "it was built without CUDA"
    advice = f"install a torch that fits: the driver has {', '.join(names)}"
    return check("devices", "warning", f"torch {why}, so that it runs on the processor: {advice}")
