import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def termination_is_noted() -> Iterator[list[int]]:
    """Keeps SIGTERM from ending the tests, and says how often it came through."""
    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: arrived.append(number))
    yield arrived
    signal.signal(signal.SIGTERM, before)
