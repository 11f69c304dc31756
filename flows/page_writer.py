"""Writes pages in Prefect from a thread of its own, so that no stage waits for the API."""

import contextvars
import threading
from collections.abc import Callable

from flows.harmless import harmless

DRAIN_S = 5.0  # at the end of a stage, for an API that does not answer
FAILED_S = 1.0  # the same of a stage that failed


class PageWriter:
    """Does what it is given in its order, each in the context of whoever gave it.

    Prefect's client asks again for a minute where its API is away, and for seven where it hangs.

    Args:
        warn: told of pages that could not be written.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._change = threading.Condition()
        self._waiting: dict[str, Callable[[], None]] = {}
        self._at: str | None = None  # what the thread is writing
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="corpusmith-pages", daemon=True)

    def write(self, says: str, page: Callable[[], object]) -> None:
        """Write a page soon, without waiting for it.

        Args:
            says: what is told if it cannot be; a page that waits under the same words is dropped.
            page: makes it.
        """
        context = contextvars.copy_context()
        with self._change:
            self._waiting[says] = lambda: context.run(self._try, says, page)
            self._change.notify_all()
            failure = None if self._thread.ident else self._start()
        if failure:
            self._warn(f"{says}: {type(failure).__name__}: {failure}")

    def end(self, way_out: type[BaseException] | None) -> None:
        """Be done with a stage: a moment for what waits where it failed, none where it was stopped.

        Args:
            way_out: what the stage raised.
        """
        if way_out is None:
            self.finish()
        elif issubclass(way_out, Exception):
            self.finish(FAILED_S)
        else:
            self.stop()

    def finish(self, limit_s: float = DRAIN_S) -> None:
        """Wait until all is written; after the time for that, say what is not."""
        with self._change:
            self._change.wait_for(lambda: not (self._waiting or self._at), limit_s)
            left = [*filter(None, [self._at]), *self._waiting]
        self.stop()
        for says in left:
            self._warn(f"{says}: the API does not answer")

    def stop(self) -> None:
        """Write no more."""
        with self._change:
            self._waiting.clear()
            self._is_over = True
            self._change.notify_all()

    def _start(self) -> Exception | None:
        """What kept the thread from starting; what waits is dropped, the next page tries again."""
        try:
            self._thread.start()
        except (RuntimeError, MemoryError) as error:  # the machine has no room for a thread
            self._waiting.clear()
            return error
        return None

    def _run(self) -> None:
        while True:
            with self._change:
                self._at = None
                self._change.notify_all()
                self._change.wait_for(lambda: self._waiting or self._is_over)
                if self._is_over:
                    return
                self._at = next(iter(self._waiting))
                page = self._waiting.pop(self._at)
            page()

    def _try(self, says: str, page: Callable[[], object]) -> None:
        with harmless(says, self._say):
            page()

    def _say(self, line: str) -> None:
        if not self._is_over:  # the stage has ended: nobody minds any more
            self._warn(line)
