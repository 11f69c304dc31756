"""MLflow for the tests: a database made once and copied, and one real server on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.tracking import Tracker, open_tracker, sender
from tasks.tracking.location import prepare_environment

Open = Callable[..., Tracker]


@pytest.fixture(autouse=True)
def quick_and_private(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing from the developer's environment; no waiting where a test does not ask for it."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sender, "BATCH_S", 0.05)
    monkeypatch.setattr(sender, "LAST_PAUSE_S", 0.5)


@pytest.fixture(scope="session")
def migrated_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder whose MLflow database is made; making one takes seconds."""
    prepare_environment()
    from tasks.tracking.location import embedded
    from tasks.tracking.mlflow_sink import MlflowSink

    state = tmp_path_factory.mktemp("migrated")
    MlflowSink(embedded(state), "corpusmith")
    return state


@pytest.fixture
def state(tmp_path: Path, migrated_state: Path) -> Path:
    """A state folder of the test's own."""
    folder = tmp_path / "state"
    shutil.copytree(migrated_state, folder)
    return folder


@pytest.fixture
def warnings() -> list[str]:
    """The lines a tracker made by `tracked` has shown the user."""
    return []


@pytest.fixture
def tracked(state: Path, warnings: list[str]) -> Iterator[Open]:
    """Opens trackers on the test's state folder and closes those that are left open."""
    opened: list[Tracker] = []

    def make(run_id: str = "run-1", **changes: object) -> Tracker:
        settings = {"experiment": "corpusmith", "run_name": run_id, "tags": {}, "params": {}}
        tracker = open_tracker(
            state, run_id=run_id, warn=warnings.append, **{**settings, **changes}
        )
        opened.append(tracker)
        return tracker

    yield make
    for tracker in opened:
        tracker.close("KILLED")


class MlflowServer:
    """``mlflow server`` in a process group of its own, so that it can be killed whole."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process:
            return
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self._folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._wait()

    def kill(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _wait(self) -> None:
        deadline = time.monotonic() + 300  # machines can be busy
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except OSError:
                assert time.monotonic() < deadline, (self._folder / "server.log").read_text()
                time.sleep(0.1)


@pytest.fixture(scope="session")
def mlflow_server(
    tmp_path_factory: pytest.TempPathFactory, migrated_state: Path
) -> Iterator[MlflowServer]:
    """One server for all tests, not started yet; tests may kill it and start it again."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(migrated_state / "mlflow.db", folder)
    server = MlflowServer(folder)
    yield server
    server.kill()
