"""Where and with what an artifact was made: recorded beside it, never part of its identity."""

import datetime
import importlib.metadata
import platform
import socket
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


def describe_surroundings() -> dict[str, Any]:
    """Time (UTC), host, Python and the versions of the libraries that shape results."""
    return {
        "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
