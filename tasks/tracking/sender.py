"""The thread that sends while others work, however often MLflow goes away."""

import threading
import time
from collections.abc import Callable

from tasks.redaction import without_secrets
from tasks.tracking.delivery import Delivery
from tasks.tracking.replay import Replay

BATCH_S, MAX_BATCH_S = 1.0, 10.0  # records gather at least and at most this long before they go
REST = 100.0  # and in between, so many times as long as sending took: it shall cost 1 %
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0  # between attempts while MLflow is away
OUTAGE_S = 10.0  # shorter ones are nobody's business


class Sender(threading.Thread):
    """Sends one run's records while it makes them, then what earlier runs left behind.

    Importing MLflow and making a new database happen here too, so that nobody waits for them.

    Attributes:
        problem: why the last attempt failed; None while all is well.
    """

    def __init__(self, delivery: Delivery, replay: Replay, warn: Callable[[str], None]) -> None:
        super().__init__(name="corpusmith-tracking", daemon=True)
        self.problem: str | None = None
        self._delivery = delivery
        self._replay = replay
        self._warn = warn
        self._change = threading.Condition()
        self._deadline_s: float | None = None  # set when the run is over
        self._away_since_s: float | None = None
        self._warned = False

    def run(self) -> None:
        """Send until the run is over and all is sent, or the time for that is up."""
        pause_s = FIRST_PAUSE_S
        rested_s = time.thread_time()
        while not self._is_finished():
            busy = self._attempt()
            if self.problem:
                self._rest(pause_s)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
            else:
                pause_s = FIRST_PAUSE_S
                if not busy:
                    sending_s = time.thread_time() - rested_s
                    self._rest(min(max(REST * sending_s, BATCH_S), MAX_BATCH_S))
                    rested_s = time.thread_time()

    def finish(self, *, grace_s: float, limit_s: float) -> bool:
        """Send the rest and stop; True if all of it arrived.

        Args:
            grace_s: how long to go on trying where MLflow is away, or sending others' leftovers.
            limit_s: how long to wait in all, also for an MLflow that answers.
        """
        with self._change:
            self._deadline_s = time.monotonic() + grace_s
            self._change.notify_all()
        self.join(min(limit_s, grace_s + 1.0) if self.problem else limit_s)
        return not self.is_alive() and not self._delivery.num_waiting

    def wait_for(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait until sending made the condition true; gives up while MLflow is away."""

        def is_over() -> bool:
            return condition() or self.problem is not None or not self.is_alive()

        with self._change:
            self._change.notify_all()  # no need to gather a batch
            self._change.wait_for(is_over, limit_s)
        return condition()

    def _attempt(self) -> bool:
        try:
            busy = self._delivery.step() or self._replay.step()
        except Exception as error:  # nothing MLflow does may end this thread
            self._note_outage(error)
            busy = False
        else:
            self.problem = self._away_since_s = None
        with self._change:
            self._change.notify_all()
        return busy

    def _note_outage(self, error: Exception) -> None:
        reason = without_secrets(str(error).strip().split("\n", 1)[0])
        self.problem = f"{type(error).__name__}: {reason}"[:300]
        self._away_since_s = self._away_since_s or time.monotonic()
        if not self._warned and time.monotonic() - self._away_since_s > OUTAGE_S:
            self._warned = True
            self._warn(f"MLflow does not answer; metrics wait and are sent later ({self.problem})")

    def _is_finished(self) -> bool:
        if self._deadline_s is None:
            return False
        own_is_sent = not self._delivery.num_waiting
        if own_is_sent and self._replay.is_done:
            return True
        late = time.monotonic() > self._deadline_s
        return late and (own_is_sent or self.problem is not None)

    def _rest(self, seconds: float) -> None:
        with self._change:
            if self._deadline_s is None:
                self._change.wait(seconds)
            else:
                self._change.wait(min(seconds, FIRST_PAUSE_S))
