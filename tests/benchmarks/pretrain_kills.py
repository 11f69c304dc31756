"""Kills pretraining with SIGKILL at random moments, and compares what it ends with.

    python -m tests.benchmarks.pretrain_kills --kills 25

Each run is killed twice at random moments and once while it writes a checkpoint, then left to
end; every file of its result, checkpoints included, must have the SHA-256 of the unbroken run's.
Checkpoints are also written by the clock, every tenth of a second.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.tasks.chain import Listener
from tests.tasks.pretrain.runs import digests, pretrain, upstream

NUM_STEPS = 400  # about nine epochs
KILLS_IN_A_RUN = 3
SETTINGS = {"max_steps": NUM_STEPS, "checkpoint_minutes": 0.1 / 60}
LIMIT_S = 300


def main() -> None:
    """Run, kill, compare; exit status 1 if any run ended with other bytes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        pretrain(*arguments.child, Listener(), **SETTINGS)
        return
    with tempfile.TemporaryDirectory(prefix="pretrain-kills-") as name:
        sys.exit(0 if survive(Path(name), arguments.kills, random.Random(arguments.seed)) else 1)


def survive(root: Path, num_kills: int, chance: random.Random) -> bool:
    """Whether every killed run ended as the unbroken one."""
    upstream(root)
    whole = root / "unbroken"
    started = time.monotonic()
    finish(start(root, whole))
    whole_s = time.monotonic() - started
    expected = digests(whole)
    killed, equal = 0, True
    while killed < num_kills:
        output = root / f"killed-{killed:03d}"
        done = 0
        for number in range(min(KILLS_IN_A_RUN, num_kills - killed)):
            done += kill(root, output, moment(output, chance, whole_s, in_a_save=number == 1))
        finish(start(root, output))
        same = digests(output) == expected
        equal, killed = equal and same, killed + done
        say(f"{killed} kills: {'the same bytes' if same else 'OTHER BYTES in ' + output.name}")
    say(f"{killed} kills of runs of {NUM_STEPS} steps ({whole_s:.0f} s): all equal = {equal}")
    return equal


def moment(
    output: Path, chance: random.Random, whole_s: float, *, in_a_save: bool
) -> Callable[[float], bool]:
    """Says whether a run is to be killed so many seconds after its first sign of training."""
    if in_a_save:
        return lambda seconds: any((output / "checkpoints").glob(".writing-*"))
    due_s = chance.uniform(0.0, 0.4 * whole_s)
    return lambda seconds: seconds >= due_s


def kill(root: Path, output: Path, is_due: Callable[[float], bool]) -> bool:
    """Kill a run when it is due; False if it ended before."""
    process = start(root, output)
    num_found = len(list(output.glob("checkpoints/*")))
    began = None
    while process.poll() is None:
        if began is None and len(list(output.glob("checkpoints/*"))) != num_found:
            began = time.monotonic()
        if began is not None and is_due(time.monotonic() - began):
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.001)
    if process.returncode:
        raise RuntimeError(f"a run ended with {process.returncode} before it was killed")
    return False


def start(root: Path, output: Path) -> subprocess.Popen[bytes]:
    """A run as a process of its own."""
    module = "tests.benchmarks.pretrain_kills"
    return subprocess.Popen([sys.executable, "-m", module, "--child", str(root), str(output)])


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a run that nobody kills."""
    if process.wait(LIMIT_S):
        raise RuntimeError(f"a run that was not killed ended with {process.returncode}")


def say(line: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
