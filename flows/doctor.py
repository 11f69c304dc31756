"""Examines this machine and installation before a user finds out in the middle of a night."""

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil

from model.errors import CorpusmithError

LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers", "prefect", "mlflow")
MIN_FREE_BYTES = 2_000_000_000
MIN_MEMORY_BYTES = 4_000_000_000


def examine(workspace: str) -> dict[str, Any]:
    """Every check with what was found.

    Raises:
        CorpusmithError: when a check fails, naming it.
    """
    checks = [
        _python(),
        _libraries(),
        _orchestrator(),
        _memory(),
        _disk(Path(workspace)),
        _devices(),
    ]
    failed = [check for check in checks if not check["ok"]]
    if failed:
        raise CorpusmithError("; ".join(f"{check['name']}: {check['finding']}" for check in failed))
    return {"checks": checks}


def _check(name: str, ok: bool, finding: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "finding": finding}


def _python() -> dict[str, Any]:
    return _check("python", sys.version_info >= (3, 11), platform.python_version())


def _libraries() -> dict[str, Any]:
    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return _check("libraries", False, f"{', '.join(missing)} missing: run `make .venv`")
    return _check("libraries", True, ", ".join(found))


def _orchestrator() -> dict[str, Any]:
    """Prefect's server cannot be imported beside some versions of fastapi."""
    version = importlib.metadata.version("fastapi")
    major, minor = (int(part) for part in version.split(".")[:2])
    fits = (major, minor) == (0, 139)
    advice = "" if fits else ": Prefect needs 0.139, run `make .venv`"
    return _check("fastapi", fits, version + advice)


def _memory() -> dict[str, Any]:
    total = psutil.virtual_memory().total
    enough = total >= MIN_MEMORY_BYTES
    finding = f"{total / 1e9:.1f} GB, {os.cpu_count()} processors"
    return _check("memory", enough, finding if enough else f"{finding}: at least 4 GB are needed")


def _disk(workspace: Path) -> dict[str, Any]:
    place = workspace.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    writable = os.access(place, os.W_OK)
    finding = f"{free / 1e9:.1f} GB free at {place}"
    if not writable:
        return _check("disk", False, f"{place} cannot be written: choose another --workspace")
    enough = free >= MIN_FREE_BYTES
    return _check("disk", enough, finding if enough else f"{finding}: at least 2 GB are needed")


def _devices() -> dict[str, Any]:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        return _check("devices", True, ", ".join(names))
    return _check("devices", True, "processor only")
