"""``corpusmith ui``: both pages up, on loopback, and down again with it."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from flows.local_server import LOOPBACK, answers
from flows.ui import start_ui
from tests.flows.strangers import STRANGER, assert_for_this_machine_only, status_of
from tests.flows.test_servers import is_gone, listened_on, wait_until

ONE_EXPERIMENT = "/api/2.0/mlflow/experiments/get?experiment_id=0"

SERVE = """
import json, signal, sys
from pathlib import Path
from flows.ui import serve_ui

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
print(json.dumps(serve_ui(Path(sys.argv[1]), int(sys.argv[2]), 0)))
"""


def addresses(process: "subprocess.Popen[str]") -> dict[str, str]:
    assert process.stderr is not None
    lines = [process.stderr.readline().split() for _ in range(2)]
    return {name: address for name, address in lines}


def refuses_other_sites(address: str) -> bool:
    """Whether no page of another site, open in a browser here, may read or send anything."""
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    request = urllib.request.Request(f"{address}/api/x", headers=headers, method="OPTIONS")
    try:
        with urllib.request.urlopen(request) as answer:
            allowed = answer.headers["Access-Control-Allow-Origin"]
    except urllib.error.HTTPError as error:
        allowed = error.headers["Access-Control-Allow-Origin"]
    return allowed not in ("*", "https://evil.example")


@pytest.mark.slow
def test_both_pages_open_and_close(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PREFECT", "MLFLOW"))
        }
        with subprocess.Popen(
            [sys.executable, "-c", SERVE, str(tmp_path / "state"), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process:
            pages = addresses(process)
            family = psutil.Process(process.pid).children(recursive=True)
            assert listened_on(family) == {LOOPBACK}
            assert not pages["mlflow"].endswith(f":{port}")  # it is in use
            assert status_of(f"{pages['mlflow']}{ONE_EXPERIMENT}", Host=STRANGER) == 403
            assert_for_this_machine_only(pages["prefect"])
            for address in pages.values():
                assert refuses_other_sites(address)
            assert answers(f"{pages['mlflow']}{ONE_EXPERIMENT}")
            with urllib.request.urlopen(f"{pages['prefect']}/ui-settings") as settings:
                assert f'"{pages["prefect"]}/api"' in settings.read().decode()
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=30)
            assert json.loads(said) == pages
            assert process.returncode == 0
    wait_until(lambda: all(map(is_gone, family)))


def test_servers_that_are_there_are_only_pointed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:pw@mlflow.example")
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example:4200/api/")
    pages, servers = start_ui(tmp_path)
    assert pages == {
        "mlflow": "https://mlflow.example",
        "prefect": "http://prefect.example:4200",
    }
    assert servers == []
