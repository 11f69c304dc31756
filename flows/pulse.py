"""Tells whether a run's heartbeats have ended, where no automation of the server does."""

import time
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter

LOOK_S = 30.0  # as often as runs beat
SILENT_S = 180.0  # longer than the automation takes, which has the first say


class Pulse:
    """The heartbeats of one run, as the API has them.

    Time is measured on the clock of this process alone: those of machines differ.
    """

    def __init__(self, client: SyncPrefectClient, run_id: UUID) -> None:
        self._client = client
        self._resource = f"prefect.flow-run.{run_id}"
        self._newest: UUID | None = None
        self._looked_s = self._heard_s = time.monotonic()

    def is_lost(self) -> bool:
        """Whether there was one, and none for `SILENT_S`; asks the API every `LOOK_S` at most."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return False
        self._looked_s = now_s
        newest = self._read_newest()
        if newest != self._newest:
            self._newest, self._heard_s = newest, now_s
        return self._newest is not None and now_s - self._heard_s > SILENT_S

    def _read_newest(self) -> UUID | None:
        beats = EventFilter(  # made anew: it says until when, and that is now
            event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
            resource=EventResourceFilter(id=[self._resource]),
        )
        try:
            events = self._client.read_events(beats, limit=1).events
        except httpx.HTTPError:
            return self._newest
        return events[0].id if events else self._newest
