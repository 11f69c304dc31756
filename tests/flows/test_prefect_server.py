"""Prefect's server on loopback: for programs and pages of this machine, under its own names."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router, WebSocketRoute
from starlette.websockets import WebSocket

from flows.local_server import LOOPBACK, free_port
from flows.prefect_server import only_own
from flows.servers import only_own_pages
from tests.flows.strangers import SOCKETS, assert_for_this_machine_only


def page(_: Request) -> PlainTextResponse:
    return PlainTextResponse("for all")


async def stream(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


@pytest.fixture
def open_server() -> Iterator[str]:
    """A server that asks for nothing, behind what ours asks for."""
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    [origins] = only_own_pages(url).values()
    routes = [*(WebSocketRoute(path, stream) for path in SOCKETS), Route("/{rest:path}", page)]
    app = only_own(Router(routes), frozenset(origins.split(",")))
    server = uvicorn.Server(uvicorn.Config(app, LOOPBACK, port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield url
    server.should_exit = True
    thread.join()


def test_a_page_that_came_through_another_port_is_told_what_to_do(open_server: str) -> None:
    port = open_server.rsplit(":", 1)[1]
    request = urllib.request.Request(open_server, headers={"Origin": "http://localhost:1"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert f"keep the port: ssh -L {port}:{LOOPBACK}:{port}" in refused.value.read().decode()


def test_other_names_and_other_pages_are_refused(open_server: str) -> None:
    assert_for_this_machine_only(open_server)
