"""Bounds the time for which a run waits in vain for a Prefect API that others run."""

import contextlib
import threading
import time
from collections.abc import Iterator

from flows.local_server import answers

LOOK_S = 5.0
OUTAGE_S = 60.0  # long enough for a server that is started anew


@contextlib.contextmanager
def bounded_patience(health: str) -> Iterator[None]:
    """Once the API has been away for `OUTAGE_S`, Prefect asks it once for each call, not six times.

    Its six tries take 80 s where nothing answers and seven minutes where a server hangs, and at
    the end of a stage three calls follow one another. When the API is back, so are the tries, and
    at the end of the block in any case. Reaches the settings that are in force as it begins, and
    not the copies that Prefect's `temporary_settings` makes of them.

    Args:
        health: the page that answers while the API is there.
    """
    from prefect.settings import get_current_settings

    client = get_current_settings().client
    tries = client.max_retries
    is_over, setting = threading.Event(), threading.Lock()

    def watch() -> None:
        seen_s = time.monotonic()
        while not is_over.wait(LOOK_S):
            if answers(health):
                seen_s = time.monotonic()
            is_away = time.monotonic() - seen_s > OUTAGE_S
            with setting:
                if not is_over.is_set():
                    client.max_retries = 0 if is_away else tries

    thread = threading.Thread(target=watch, name="corpusmith-patience", daemon=True)
    thread.start()
    try:
        yield
    finally:
        with setting:  # the thread itself is not waited for: a page that hangs takes seconds
            is_over.set()
            client.max_retries = tries
