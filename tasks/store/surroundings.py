"""Where and with what an artifact was made: recorded beside it, never part of its identity."""

import datetime
import importlib.metadata
import os
import platform
import socket
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "corpusmith",
    "numba",
    "numpy",
    "pyarrow",
    "safetensors",
    "scikit-learn",
    "tokenizers",
    "torch",
    "transformers",
)


def describe_machine() -> dict[str, Any]:
    """What decides how long work takes here: the host's name, its processors and its GPUs."""
    return {
        "host": socket.gethostname(),
        "num_processors": os.cpu_count(),
        "num_gpus": len(list(Path("/dev").glob("nvidia[0-9]*"))),
    }


def describe_surroundings() -> dict[str, Any]:
    """Time (UTC), machine, Python and the versions of the libraries that shape results."""
    return {
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **describe_machine(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
