"""Prefect's client asks once where its API has been away for long, else several times."""

import http.server
import threading
import time
from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES

from flows import patience
from flows.local_server import LOOPBACK
from flows.patience import bounded_patience

LIMIT_S = 20.0


class Health(http.server.ThreadingHTTPServer):
    """A page that says whether a server is there."""

    is_there = True


class Page(http.server.BaseHTTPRequestHandler):
    server: Health

    def do_GET(self) -> None:
        self.send_response(200 if self.server.is_there else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def health() -> Iterator[Health]:
    with Health((LOOPBACK, 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def wait_for_retries(number: int) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while PREFECT_CLIENT_MAX_RETRIES.value() != number:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_tries_end_with_the_patience_and_come_back_with_the_api(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "LOOK_S", 0.02)
    monkeypatch.setattr(patience, "OUTAGE_S", 0.2)
    usual = PREFECT_CLIENT_MAX_RETRIES.value()
    with bounded_patience(f"http://{LOOPBACK}:{health.server_port}/health"):
        time.sleep(0.5)
        assert PREFECT_CLIENT_MAX_RETRIES.value() == usual > 0
        health.is_there = False
        wait_for_retries(0)
        health.is_there = True
        wait_for_retries(usual)
        health.is_there = False
        wait_for_retries(0)
    assert PREFECT_CLIENT_MAX_RETRIES.value() == usual
