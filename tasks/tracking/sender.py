"""The thread that sends while others work, however often MLflow goes away."""

import threading
import time
from collections.abc import Callable

from tasks.redaction import without_secrets
from tasks.tracking.delivery import Delivery
from tasks.tracking.latency import Latency
from tasks.tracking.replay import Replay

BATCH_S, MAX_BATCH_S = 1.0, 10.0  # records gather at least and at most this long before they go
REST = 100.0  # and in between, so many times as long as sending took: it shall cost 1 %
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 30.0  # between attempts while MLflow is away
OUTAGE_S = 10.0  # shorter ones are nobody's business
BLINK_S = 1.0  # what one lost connection costs: still no reason to give up waiting
# At the end, for an MLflow that is away: 2 % of what the run took, within these bounds.
GRACE_FRAC, MIN_GRACE_S, MAX_GRACE_S = 0.02, 1.0, 5.0
POLL_S = 0.1


class Sender(threading.Thread):
    """Sends one run's records while it makes them, then what earlier runs left behind.

    Importing MLflow and making a new database happen here too, so that nobody waits for them.

    Attributes:
        problem: why the last attempt failed; None while all is well.
    """

    def __init__(
        self,
        delivery: Delivery,
        replay: Replay,
        warn: Callable[[str], None],
        latency: Latency | None = None,
    ) -> None:
        """`latency` is MLflow's: nobody waits for one that takes its time over answers."""
        super().__init__(name="corpusmith-tracking", daemon=True)
        self.problem: str | None = None
        self._delivery = delivery
        self._replay = replay
        self._warn = warn
        self._latency = latency or Latency()
        self._began_s = time.monotonic()
        self._is_let_go = self._has_ended = False
        self._change = threading.Condition()
        self._deadline_s: float | None = None  # set when the run is over
        self._away_since_s: float | None = None
        self._warned = False

    def run(self) -> None:
        """Send until the run is over and all is sent, or the time for that is up."""
        try:
            self._send_all()
        finally:
            with self._change:
                self._has_ended = True
                if self._is_let_go:
                    self._delivery.spool.release()

    def _send_all(self) -> None:
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

    @property
    def is_away(self) -> bool:
        """Whether there is no point in waiting: MLflow is gone for more than a blink, or slow."""
        since_s = self._away_since_s
        gone_s = 0.0 if since_s is None else time.monotonic() - since_s
        return self._latency.is_slow or gone_s > BLINK_S

    @property
    def why(self) -> str:
        """Why some records have not been sent."""
        slow = "it takes its time over answers" if self._latency.is_slow else None
        return self.problem or slow or "there was no time to send them"

    def finish(self, *, limit_s: float, grace_s: float | None = None) -> bool:
        """Send the rest and stop; True if all of it arrived.

        Args:
            limit_s: how long to wait in all, also for an MLflow that answers.
            grace_s: how long to go on trying where MLflow is away, or sending others' leftovers;
                if it is left out, a small part of what the run took, and 5 s for leftovers.
        """
        began_s = time.monotonic()
        part_s = min(max(GRACE_FRAC * (began_s - self._began_s), MIN_GRACE_S), MAX_GRACE_S)
        away_s, left_s = (part_s, MAX_GRACE_S) if grace_s is None else (grace_s, grace_s)
        with self._change:
            self._deadline_s = began_s + left_s
            self._change.notify_all()
        while self.is_alive() and (waited_s := time.monotonic() - began_s) < limit_s:
            own_is_sent = not self._delivery.num_waiting
            if waited_s > (left_s if own_is_sent else away_s) and (own_is_sent or self.is_away):
                break
            self.join(POLL_S)
        return not self._delivery.num_waiting

    def let_go(self) -> None:
        """Release the queue, as soon as this thread has no more to do with it: two that send the
        same records at the same time would each make the runs."""
        with self._change:
            self._is_let_go = True
            if self._has_ended:
                self._delivery.spool.release()

    def wait_for(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait until sending made the condition true; gives up while MLflow is away."""
        deadline_s = time.monotonic() + limit_s
        with self._change:
            self._change.notify_all()  # no need to gather a batch
            while not (condition() or self.is_away) and self.is_alive():
                if time.monotonic() > deadline_s:
                    break
                self._change.wait(POLL_S)
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
