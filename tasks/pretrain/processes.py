"""torchrun and its workers as one thing that can be started and ended."""

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from tasks.runtime.tether import TETHER

POLL_S = 0.05
KILL_S = 1.0  # for the system to remove what was killed


@dataclass
class TrainingProcesses:
    """A launcher, and the workers it has started.

    Attributes:
        launcher: its standard input is the workers' too, and tells them when to end.
        workers: those that have been noted; they outlive a launcher that is killed.
    """

    launcher: "subprocess.Popen[bytes]"
    workers: list[psutil.Process] = field(default_factory=list)

    @classmethod
    def start(cls, command: Sequence[str], environment: Mapping[str, str], log: Path) -> Self:
        """Start the launcher; all that is printed goes to the end of `log`."""
        with log.open("ab") as file:
            launcher = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**environment, TETHER: "1"},
                start_new_session=True,  # the keyboard's Ctrl-C is for the starter alone
            )
        return cls(launcher)

    @property
    def are_running(self) -> bool:
        """Whether the launcher is there."""
        return self.launcher.poll() is None

    @property
    def status(self) -> int | None:
        """The launcher's exit status; None while it runs."""
        return self.launcher.poll()

    def note_workers(self) -> None:
        """Keep in mind which processes the launcher has now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self.workers += psutil.Process(self.launcher.pid).children(recursive=True)

    def end(self, grace_s: float) -> None:
        """Ask all processes to end; kill those that are still there after `grace_s` seconds."""
        assert self.launcher.stdin is not None
        self.launcher.stdin.close()
        if not self._are_gone_within(grace_s):
            self._kill()
            self._are_gone_within(KILL_S)

    def _are_gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.are_running or any(map(_runs, self.workers)):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _kill(self) -> None:
        if self.are_running:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(self.launcher.pid).suspend()  # it would start them again
        self.note_workers()
        for worker in self.workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        self.launcher.kill()


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
