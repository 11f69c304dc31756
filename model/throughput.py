"""How fast training is, leaving out what is not training."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Throughput:
    """Counts tokens against a clock that can be paused.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._tokens = 0
        self._all_seconds = 0.0
        self._all_tokens = 0

    def add(self, num_tokens: int) -> None:
        """Count tokens that were just learned from."""
        self._tokens += num_tokens

    def recent(self) -> float:
        """Tokens per second since this was last asked."""
        now = self._clock()
        seconds, tokens = max(now - self._since, 1e-9), self._tokens
        self._all_seconds += seconds
        self._all_tokens += tokens
        self._since, self._tokens = now, 0
        return tokens / seconds

    @property
    def overall(self) -> float:
        """Tokens per second up to the last time that `recent` was asked; 0 before."""
        return self._all_tokens / self._all_seconds if self._all_seconds else 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time in here does not count."""
        started = self._clock()
        try:
            yield
        finally:
            self._since += self._clock() - started
