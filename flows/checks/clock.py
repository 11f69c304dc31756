"""Whether this machine's clock agrees with those of its servers and of its disk.

Leases, ages and the order of runs are read from clocks.
"""

import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from flows.checks.asking import ask
from flows.checks.check import Check, check
from flows.checks.servers import Server

ALLOWED_S = 5.0


def clock_check(folder: Path, servers: list[Server]) -> Check:
    """A warning where two clocks differ by more than a few seconds.

    Args:
        folder: where the workspace is or will be; a nameless file is made there for a moment.
        servers: asked for the time.
    """
    ahead_s = {server.name: ask(server.version_url).clock_ahead_s for server in servers}
    ahead_s[f"the disk of {folder}"] = disk_ahead_s(folder)
    return clock_verdict(ahead_s)


def clock_verdict(ahead_s: Mapping[str, float | None]) -> Check:
    """From how far each other clock is ahead of ours, in seconds; None where it is not known."""
    known = {name: ahead for name, ahead in ahead_s.items() if ahead is not None}
    off = [f"{name} is {ahead:+.0f} s" for name, ahead in known.items() if abs(ahead) > ALLOWED_S]
    if off:
        advice = "set the clocks by one time server"
        return check("clock", "warning", f"against this machine's clock {', '.join(off)}: {advice}")
    return check("clock", True, f"agrees with {' and '.join(known) or 'nothing that tells time'}")


def disk_ahead_s(folder: Path) -> float | None:
    """The time a new file gets less our own; None where no file can be made there."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"t")
            file.flush()
            return os.fstat(file.fileno()).st_mtime - time.time()
    except OSError:
        return None
