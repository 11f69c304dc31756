"""Log lines that Prefect's API misses are not told of; what other handlers miss is."""

import logging
from collections.abc import Iterator

import pytest
from prefect.logging.handlers import APILogWorker, emit_api_log, set_api_log_sink
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.api_logs import quieten_api_logs
from flows.local_server import LOOPBACK, free_port

LIMIT_S = 30.0


@pytest.fixture
def api_is_away() -> Iterator[None]:
    url = f"http://{LOOPBACK}:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield
    set_api_log_sink(None)


@pytest.mark.usefixtures("api_is_away")
def test_lines_that_the_api_misses_are_not_told_of(capfd: pytest.CaptureFixture[str]) -> None:
    said = []
    for prepare in (lambda: None, quieten_api_logs):
        prepare()
        emit_api_log({"message": "a line", "__payload_size__": 10})
        APILogWorker.drain_all(timeout=LIMIT_S)
        said.append(capfd.readouterr().err)
    assert "Error logging to API" in said[0], "what Prefect says by itself"
    assert said[1] == ""


def test_other_handlers_tell_of_their_errors(capfd: pytest.CaptureFixture[str]) -> None:
    quieten_api_logs()
    handler = logging.StreamHandler()
    handler.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    set_api_log_sink(None)
    assert "Logging error" in capfd.readouterr().err
