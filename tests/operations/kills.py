"""A command of the chain that is killed at some moment, as an out-of-memory killer does it."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

from tests.flows.chain import Chain, plain


def killed_after(chain: Chain, command: Sequence[str], after_s: float) -> dict[str, Any] | None:
    """Start the command in a process of its own and kill it: None; its answer if it was faster."""
    with tempfile.TemporaryFile("w+") as told:  # a pipe would be held open by what it leaves behind
        process = subprocess.Popen(
            [*chain.command(*command), "--json"],
            stdout=told,
            stderr=subprocess.DEVNULL,
            env=plain() | chain.environment,
        )
        try:
            status = process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return None
        assert status == 0, f"{command} ended with {status}"
        told.seek(0)
        answer: dict[str, Any] = json.load(told)
    return answer
