"""Asks the driver of NVIDIA GPUs by its own program, which makes no CUDA context in our process."""

import shutil
import subprocess

PROGRAM = "nvidia-smi"


def find_driver() -> str | None:
    """The driver's program; None where there is none, and so no GPU that it could tell of."""
    return shutil.which(PROGRAM)


def ask_driver(program: str, query: str, *, timeout_s: float) -> list[str]:
    """One line a GPU, fields between commas, numbers without units.

    Args:
        program: from `find_driver`.
        query: names of fields between commas, as ``nvidia-smi --help-query-gpu`` lists them.
        timeout_s: how long to wait.

    Raises:
        OSError, ValueError, subprocess.SubprocessError: it cannot be started, says what is no
            text, fails, or does not answer in time.
    """
    command = [program, f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True)
    return answer.stdout.splitlines()
