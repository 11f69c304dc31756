"""A command of the chain that is killed at some moment, as an out-of-memory killer does it."""

import signal
import subprocess
import time
from collections.abc import Sequence

from tests.flows.chain import Chain, plain


def kill_after(chain: Chain, command: Sequence[str], after_s: float) -> bool:
    """Start the command in a process of its own and kill it; False where it had ended by then."""
    process = subprocess.Popen(
        chain.command(*command),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=plain() | chain.environment,
    )
    time.sleep(after_s)
    is_running = process.poll() is None
    if is_running:
        process.send_signal(signal.SIGKILL)
    process.wait()
    return is_running
