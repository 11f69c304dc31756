"""The pages of MLflow and Prefect, opened on loopback for one workspace."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.local_server import LOOPBACK, LocalServer, free_port
from flows.servers import (
    START_S,
    given_api,
    only_own_pages,
    prefect_command,
    without_telemetry,
)
from model.errors import CorpusmithError
from tasks.tracking import locate

LOOK_S = 0.5


def serve_ui(state_folder: Path, mlflow_port: int, prefect_port: int) -> dict[str, Any]:
    """Open both, print where they are, and keep them up until Ctrl-C or SIGTERM.

    A server that the environment names (MLFLOW_TRACKING_URI, PREFECT_API_URL) is only pointed at.
    No browser is opened.

    Raises:
        CorpusmithError: one did not start, or ended by itself.
    """
    addresses, servers = start_ui(state_folder, mlflow_port=mlflow_port, prefect_port=prefect_port)
    try:
        for server in servers:
            server.wait_until_ready(START_S)
        for name, address in addresses.items():
            sys.stderr.write(f"{name:<8} {address}\n")
        sys.stderr.write("Ctrl-C ends them\n" if servers else "")
        sys.stderr.flush()
        _watch(servers)
    except KeyboardInterrupt:
        pass  # the way it is meant to end
    finally:
        for server in servers:
            server.stop()
    return addresses


def start_ui(
    state_folder: Path, *, mlflow_port: int = 5000, prefect_port: int = 4200
) -> tuple[dict[str, str], list[LocalServer]]:
    """Start what is not there yet, in the background; another port is taken where one is in use.

    Returns:
        The address by name, and the servers started: the caller ends them.
    """
    state, api = state_folder.resolve(), given_api()
    addresses: dict[str, str] = {}
    servers: list[LocalServer] = []
    tracking = locate(state)
    if tracking.is_server:
        addresses["mlflow"] = tracking.public_uri
    else:
        servers.append(_start_mlflow(state, tracking.uri, free_port(mlflow_port)))
        addresses["mlflow"] = servers[-1].url
    if api:
        addresses["prefect"] = api.removesuffix("/api")
    else:
        servers.append(_start_prefect(state / "prefect", free_port(prefect_port)))
        addresses["prefect"] = servers[-1].url
    return addresses, servers


def _start_mlflow(state: Path, store_uri: str, port: int) -> LocalServer:
    artifacts = ["--default-artifact-root", (state / "mlartifacts").as_uri()]
    address = ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
    return LocalServer(
        "MLflow",
        [sys.executable, "-m", "mlflow", "server", *artifacts, *address],
        url=f"http://{LOOPBACK}:{port}",
        health="/health",
        environment={
            # Here and not on the command line, where every user of the machine could read it.
            "MLFLOW_BACKEND_STORE_URI": store_uri,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven idle processes of 265 MB
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **without_telemetry(),
        },
        log=state / "mlflow.log",
    )


def _start_prefect(home: Path, port: int) -> LocalServer:
    url = f"http://{LOOPBACK}:{port}"
    return LocalServer(
        "Prefect",
        prefect_command(port),
        url=url,
        health="/api/health",
        environment={
            "PREFECT_HOME": str(home),
            "PREFECT__SERVER_FINAL": "1",
            "PREFECT__SERVER_WEBSERVER_ONLY": "1",  # no services: a run's server has its own
            "PREFECT_UI_API_URL": f"{url}/api",
            "PREFECT_UI_STATIC_DIRECTORY": str(home / "ui"),  # else it writes beside its code
            **only_own_pages(url),
            **without_telemetry(),
        },
        log=home / "ui.log",
    )


def _watch(servers: Sequence[LocalServer]) -> None:
    while servers:
        time.sleep(LOOK_S)
        for server in servers:
            if not server.is_running:
                raise CorpusmithError(f"{server.name} ended by itself: see {server.log}")
