"""A server on loopback that lives as long as we do."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from flows import tether
from model.errors import CorpusmithError

LOOPBACK = "127.0.0.1"
POLL_S = 0.05
LOOK_S = 0.25  # between two looks at a server that is kept
PAUSES_S = (0.0, 2.0, 10.0)  # before each time that it is started again: no more than these
STEADY_S = 600.0  # a server that was there for so long is not held to what was before
STOP_S = tether.GRACE_S + 5.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback needs no proxy


class LocalServer:
    """A server process started in the background, on a tether (see `flows.tether`).

    Attributes:
        name: what to call it in messages.
        url: where it answers once it is ready.
        log: the file that takes whatever it prints.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        url: str,
        health: str,
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        """Start the command; returns at once. `health` is the path that answers when it is up."""
        self.name = name
        self.url = url
        self.log = log
        self._health_url = url + health
        self._command = [sys.executable, "-I", "-S", tether.__file__, *command]
        self._environment = {**os.environ, **environment}
        log.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()  # for starting and stopping
        self._is_stopped = False
        self._num_restarts = 0  # since it was steady
        self._process = self._start()
        self._started_s = time.monotonic()
        # A forked child (a data loader's worker) would hold our end open after we are gone.
        os.register_at_fork(after_in_child=self._let_go)

    @property
    def is_running(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    @property
    def was_restarted(self) -> bool:
        """Whether it has ended lately and was, or is being, started again."""
        return self._num_restarts > 0 and not self._is_steady()

    def wait_until_ready(self, timeout_s: float) -> None:
        """Return as soon as the server answers.

        Raises:
            CorpusmithError: it ended or did not answer in time; names its log.
        """
        deadline_s = time.monotonic() + timeout_s
        while not answers(self._health_url):
            if not self.is_running:
                raise CorpusmithError(f"{self.name} ended while starting: see {self.log}")
            if time.monotonic() > deadline_s:
                raise CorpusmithError(
                    f"{self.name} did not answer within {timeout_s:.0f} s: see {self.log}"
                )
            time.sleep(POLL_S)

    @contextlib.contextmanager
    def kept(self, warn: Callable[[str], None]) -> Iterator[None]:
        """Whenever it ends in the block, it is started again, after each of `PAUSES_S` once.

        They are counted anew once it has been there for `STEADY_S`. After the block, and after
        `stop`, nothing is started any more.

        Args:
            warn: told of each time in one line.
        """
        is_over = threading.Event()
        keeper = threading.Thread(
            target=self._keep, args=(is_over, warn), name="corpusmith-server", daemon=True
        )
        keeper.start()
        try:
            yield
        finally:
            is_over.set()
            keeper.join()

    def _keep(self, is_over: threading.Event, warn: Callable[[str], None]) -> None:
        while True:
            while self.is_running:
                if is_over.wait(LOOK_S):
                    return
            if self._is_steady():
                self._num_restarts = 0
            if self._num_restarts == len(PAUSES_S):
                warn(f"{self.name} ended again and is not started any more: see {self.log}")
                return
            pause_s = PAUSES_S[self._num_restarts]
            self._num_restarts += 1
            if is_over.wait(pause_s) or not self._start_again(is_over, warn):
                return

    def _start_again(self, is_over: threading.Event, warn: Callable[[str], None]) -> bool:
        """Unless that is not wanted any more; whether it was tried."""
        with self._lock:
            if is_over.is_set() or self._is_stopped:
                return False
            self._started_s = time.monotonic()
            try:
                self._process = self._start()
            except OSError as error:  # no file or no memory to spare: perhaps at the next try
                warn(f"{self.name} ended and could not be started again: {error}")
                return True
        warn(f"{self.name} ended and is started again (its log is {self.log})")
        return True

    def _is_steady(self) -> bool:
        return time.monotonic() - self._started_s > STEADY_S

    def stop(self) -> None:
        """End the server and wait until it is gone. May be called twice."""
        with self._lock:
            self._is_stopped = True
        self._let_go()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as output:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self.log.parent,  # so that a stray relative path stays in the workspace
                start_new_session=True,  # a kill of our process group must not cut the tether
            )

    def _let_go(self) -> None:
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def answers(url: str) -> bool:
    """Whether something at the address speaks HTTP and is not failing. Never raises."""
    try:
        with _direct.open(url, timeout=5.0):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500  # asking for a password is an answer
    except (OSError, ValueError, http.client.HTTPException):  # the last: it speaks something else
        return False


def free_port(preferred: int = 0) -> int:
    """The preferred port if it is free on loopback, else one that is."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                return int(probe.getsockname()[1])
    raise CorpusmithError(f"no port is free on {LOOPBACK}: end some servers and run again")
