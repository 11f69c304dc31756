"""What the doctor finds wrong, it says with what to do; what is only doubtful fails nothing."""

import email.utils
import http.server
import importlib.metadata
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.checks.asking import ask
from flows.checks.check import Check, check
from flows.checks.clock import clock_check, clock_verdict, disk_ahead_s
from flows.checks.place import disk_check, nearest_folder, permission_check
from flows.checks.ports import Listener, listeners, port_check
from flows.checks.servers import given_servers, server_checks
from flows.doctor import _without_gpu, verdict
from flows.local_server import LOOPBACK, free_port

Serve = Callable[..., str]
VERSION = importlib.metadata.version("prefect")


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that tell a version, perhaps only to who signs in, and a time."""
    started: list[http.server.ThreadingHTTPServer] = []

    def start(version: str, *, signed_in: str | None = None, ahead_s: float = 0) -> str:
        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_in = signed_in in (None, self.headers["Authorization"])
                self.send_response_only(200 if is_in else 401)
                self.send_header("Date", email.utils.formatdate(time.time() + ahead_s))
                self.end_headers()
                self.wfile.write(version.encode() if is_in else b"")

            def log_message(self, *_: object) -> None:
                pass

        started.append(http.server.ThreadingHTTPServer((LOOPBACK, 0), Page))
        threading.Thread(target=started[-1].serve_forever, args=(0.02,), daemon=True).start()
        return f"http://{LOOPBACK}:{started[-1].server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def prefect_check() -> Check:
    return next(each for each in server_checks(given_servers()) if each["name"] == "Prefect")


def test_without_named_servers_all_is_well() -> None:
    checks = server_checks(given_servers())
    assert [each["state"] for each in checks] == ["ok", "ok"]


def test_a_server_of_our_version_is_well(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{serve(VERSION)}/api")
    assert prefect_check()["state"] == "ok"


def test_another_version_is_a_warning(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{serve('3.0.1')}/api")
    found = prefect_check()
    assert (found["state"], found["ok"]) == ("warning", True)
    assert f"has 3.0.1, we have {VERSION}" in found["finding"]


def test_one_that_is_away_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://{LOOPBACK}:{free_port()}/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    found = prefect_check()
    assert (found["state"], found["ok"]) == ("failed", False)
    assert f"PREFECT_API_URL={url} does not answer" in found["finding"]
    assert "unset PREFECT_API_URL" in found["finding"]


def test_sign_in_is_asked_for_and_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(VERSION, signed_in="Basic b3BzOmh1bnRlcjI=")  # ops:hunter2
    monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
    found = prefect_check()
    assert found["state"] == "failed"
    assert "asks who we are: set PREFECT_API_AUTH_STRING" in found["finding"]
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ops:wrong")
    assert "did not take who we are" in prefect_check()["finding"]
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "ops:hunter2")
    assert prefect_check()["state"] == "ok"


def test_a_password_in_an_address_is_used_and_never_shown(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = importlib.metadata.version("mlflow")
    url = serve(version, signed_in="Basic b3BzOmh1bnRlcjI=")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url.replace("://", "://ops:hunter2@"))
    [found] = [each for each in server_checks(given_servers()) if each["name"] == "MLflow"]
    assert found["state"] == "ok", found
    assert "hunter2" not in found["finding"]


def test_clocks_that_differ_are_a_warning(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{serve(VERSION, ahead_s=-90)}/api")
    found = clock_check(tmp_path, given_servers())
    assert found["state"] == "warning"
    assert "Prefect is -9" in found["finding"] or "Prefect is -8" in found["finding"]
    assert "the disk" not in found["finding"]
    assert clock_verdict({"Prefect": 1.0, "the disk": None})["state"] == "ok"


def test_a_disk_tells_the_time_and_nothing_stays_there(tmp_path: Path) -> None:
    ahead_s = disk_ahead_s(tmp_path)
    assert ahead_s is not None
    assert abs(ahead_s) < 5
    assert list(tmp_path.iterdir()) == []
    assert disk_ahead_s(tmp_path / "nowhere") is None


def test_a_folder_everybody_writes_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    assert permission_check(tmp_path)["state"] == "ok"
    (tmp_path / "artifacts").chmod(0o777)
    found = permission_check(nearest_folder(str(tmp_path)))
    assert found["state"] == "warning"
    assert f"chmod o-w {tmp_path / 'artifacts'}" in found["finding"]


def test_a_workspace_to_come_is_judged_by_where_it_will_be(tmp_path: Path) -> None:
    assert nearest_folder(str(tmp_path / "not" / "yet")) == tmp_path
    assert disk_check(tmp_path)["finding"].endswith(f"free at {tmp_path}")


LISTEN = """
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
server = http.server.HTTPServer((sys.argv[1], 0), Page)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize(("host", "is_exposed"), [(LOOPBACK, False), ("0.0.0.0", True)])
def test_a_server_of_ours_that_others_reach_is_a_warning(host: str, is_exposed: bool) -> None:
    command = [sys.executable, "-c", LISTEN, host, "mlflow server"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            assert Listener("MLflow", host, port) in set(listeners())
            found = port_check()
            assert (found["state"] == "warning") == is_exposed
            if is_exposed:
                assert f"MLflow on {host}:{port}" in found["finding"]
                assert "--host 127.0.0.1" in found["finding"]
        finally:
            process.kill()


def test_only_what_failed_fails() -> None:
    doubtful = [check("a", True, "fine"), check("b", "warning", "hm")]
    assert verdict({"checks": doubtful}) is None
    error = verdict({"checks": [*doubtful, check("c", False, "gone: bring it back")]})
    assert str(error) == "c: gone: bring it back"


@pytest.mark.parametrize(
    ("body", "state", "says"),
    [
        ("echo NVIDIA H200", "warning", "built without CUDA.*the driver has NVIDIA H200"),
        ("exit 9", "warning", "nvidia-smi fails .*repair its driver"),
        ("true", "ok", "processor only"),
    ],
)
def test_a_driver_that_torch_does_not_use_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, state: str, says: str
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = _without_gpu(None)
    assert found["state"] == state
    assert re.search(says, found["finding"])


def test_an_address_is_asked_for_as_it_is_but_for_its_user() -> None:
    asked: list[tuple[str, str | None]] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response_only(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    assert ask(f"http://me:pw@{LOOPBACK}:{server.server_port}/version?token=hunter2").is_fine
    server.shutdown()
    assert asked == [("/version?token=hunter2", None)]
