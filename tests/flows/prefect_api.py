"""Prefect's API and the processes of a worker, as the tests of deployments see them."""

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from flows.local_server import LOOPBACK, LocalServer, free_port
from flows.servers import without_telemetry

BUSY_TRIES = 5


def start_server(folder: Path) -> LocalServer:
    """Prefect with its services, which ``corpusmith ui`` leaves out: they mind dead workers."""
    port = free_port()
    return LocalServer(
        "Prefect",
        [sys.executable, *"-m prefect server start --no-ui --port".split(), str(port)],
        url=f"http://{LOOPBACK}:{port}",
        health="/api/health",
        environment={"PREFECT_HOME": str(folder), **without_telemetry()},
        log=folder / "server.log",
    )


class Api:
    """Prefect's API, asked without Prefect."""

    def __init__(self, url: str, authorization: str | None = None) -> None:
        self.url = url
        self._headers = {"Content-Type": "application/json"}
        if authorization:
            self._headers["Authorization"] = authorization

    def ask(self, path: str, body: Any = None, method: str = "POST") -> Any:
        request = urllib.request.Request(
            f"{self.url}{path}",
            None if method == "GET" else json.dumps(body or {}).encode(),
            self._headers,
            method=method,
        )
        for _ in range(BUSY_TRIES):
            with (
                contextlib.suppress(urllib.error.HTTPError),
                urllib.request.urlopen(request) as answer,
            ):
                return json.loads(answer.read() or "null")
            time.sleep(1)  # its database is busy: Prefect's own client would ask again, too
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or "null")

    def deployments(self) -> dict[str, dict[str, Any]]:
        flows = {flow["id"]: flow["name"] for flow in self.ask("/flows/filter")}
        found = self.ask("/deployments/filter")
        return {f"{flows[each['flow_id']]}/{each['name']}": each for each in found}

    def sent(self, name: str) -> list[dict[str, Any]]:
        """The runs of a stage's deployment, the newest first."""
        deployment = {"id": {"any_": [self.deployments()[name]["id"]]}}
        found = self.ask("/flow_runs/filter", {"deployments": deployment})
        return sorted(found, key=lambda run: str(run["created"]), reverse=True)

    def wait_for(
        self, state: str, name: str, seconds: float = 240, after: str | None = None
    ) -> dict[str, Any]:
        """The newest run of a deployment, other than `after`, as soon as it is in that state."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = self.sent(name)
            if runs and runs[0]["state"]["type"] == state and runs[0]["id"] != after:
                return runs[0]
            time.sleep(0.2)
        told = {run["id"]: run["state"]["name"] for run in self.sent(name)}
        raise AssertionError(f"{name} is not {state}: {told}")


def process_of(worker: int, run_id: str) -> psutil.Process:
    """The process in which a worker runs that flow run."""
    for process in psutil.Process(worker).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.environ().get("PREFECT__FLOW_RUN_ID") == run_id:
                return process
    raise AssertionError(f"the worker {worker} has no process for the run {run_id}")
