"""Asks a server on loopback as a browser does that a page on the web has led there."""

import contextlib
import socket
import urllib.error
import urllib.request

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from flows.local_server import LOOPBACK

STRANGER = "evil.example"
SOCKETS = ("/api/events/in", "/api/events/out", "/api/logs/out")


def status_of(address: str, **headers: str) -> int:
    """The status of the answer to who asks with these headers."""
    request = urllib.request.Request(address, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def socket_status(port: int, path: str, host: str, origin: str | None) -> int:
    """The status of the answer to who wants a web socket; 101 where it was opened."""
    with contextlib.closing(socket.create_connection((LOOPBACK, port))) as connection:
        address = f"ws://{host}{path}"
        try:
            with connect(address, sock=connection, origin=origin, compression=None):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code


def assert_for_this_machine_only(url: str) -> None:
    """Prefect's server at the address answers to names and pages of this machine, and no other."""
    port = int(url.rsplit(":", 1)[1])
    for name in (LOOPBACK, "localhost"):
        own = f"{name}:{port}"
        assert status_of(f"{url}/api/health", Host=own) == 200
        assert status_of(f"{url}/api/health", Host=own, Origin=f"http://{own}") == 200
        for path in SOCKETS:
            assert socket_status(port, path, own, None) == 101
            assert socket_status(port, path, own, f"http://{own}") == 101
    own = f"{LOOPBACK}:{port}"
    for path in ("/api/health", "/api/admin/version", "/", "/nothing"):
        assert status_of(url + path, Host=f"{STRANGER}:{port}") == 400
        assert status_of(url + path, Host=f"{LOOPBACK}.{STRANGER}:{port}") == 400
        for origin in (f"http://{STRANGER}:{port}", "null", f"http://{LOOPBACK}:{port + 1}"):
            assert status_of(url + path, Host=own, Origin=origin) == 403
    for path in SOCKETS:
        assert socket_status(port, path, f"{STRANGER}:{port}", None) == 400
        assert socket_status(port, path, own, f"http://{STRANGER}") == 403
