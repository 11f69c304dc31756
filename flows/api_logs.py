"""Keeps Prefect from telling on the terminal of log lines that its API has missed."""

import contextlib
from typing import Any

from prefect.logging.handlers import APILogWorker, set_api_log_sink


class _QuietLogWorker(APILogWorker):
    """Sends log lines to the API; those that it does not take are lost, as with Prefect's own."""

    async def _handle_batch(self, items: list[dict[str, Any]]) -> None:
        with contextlib.suppress(Exception):  # of the network, the client or the API
            await self._client.create_logs(items)


def quieten_api_logs() -> None:
    """From now on log lines of runs that do not reach Prefect's API are not told of.

    Prefect writes two lines on stderr for each batch, unless the errors of all log handlers of the
    process are hidden. What stages have to say is said elsewhere, too.
    """
    set_api_log_sink(_send)


def _send(line: dict[str, Any]) -> None:
    with contextlib.suppress(RuntimeError):  # it is being stopped, as at the interpreter's end
        _QuietLogWorker.instance().send(line)
