"""Sends what earlier runs could not, and ends runs whose process died."""

from collections.abc import Iterator
from pathlib import Path

from tasks.tracking.delivery import Delivery, connect
from tasks.tracking.location import Location, at, embedded, locate, prepare_environment
from tasks.tracking.records import (
    CHAMPION,
    ChampionSet,
    Measured,
    Opened,
    Record,
    RunEnded,
    RunStarted,
    Sent,
)
from tasks.tracking.spool import Spool, leftovers

SPOOL_FOLDER = "spool"  # in the workspace's state folder


def replay(state_folder: Path) -> int:
    """Send all that earlier runs left in the spool folder, and wait for it.

    Returns:
        How many runs still have records waiting, because their MLflow cannot be reached.
    """
    prepare_environment()
    work = Replay(state_folder, locate(state_folder))
    while work.step():
        pass
    return work.num_failed


class Replay:
    """Works through the leftovers, a batch at a time; queues with a living owner are left alone.

    Attributes:
        num_failed: queues that could not be emptied; they stay for the next start.
        is_done: whether all have been tried.
    """

    def __init__(self, state_folder: Path, location: Location) -> None:
        """Nothing is opened until the first `step`. `location` knows passwords a file must not."""
        self.num_failed = 0
        self.is_done = False
        self._batches = self._work(state_folder, location)

    def step(self) -> bool:
        """Send one batch; False if none is left. Never raises for a server that is away."""
        for _ in self._batches:
            return True
        self.is_done = True
        return False

    def _work(self, state_folder: Path, location: Location) -> Iterator[None]:
        for path in leftovers(state_folder / SPOOL_FOLDER):
            spool = Spool.take_over(path)
            if spool is None:
                continue
            try:
                delivery = resume(spool, state_folder, location)
                while delivery.step():
                    yield
            except Exception:  # whatever keeps one queue from leaving must not keep the others
                self.num_failed += 1
                spool.release()
            else:
                spool.discard()


def resume(spool: Spool, state_folder: Path, location: Location) -> Delivery:
    """Go on where the run that owned the queue stopped; runs it left open are ended as KILLED.

    Raises:
        ValueError: the file does not begin as a queue does.
    """
    opened: Opened | None = None
    sent = Sent(offset=0)
    run_ids: dict[int, str] = {}
    open_runs: list[int] = []
    time_ms = 0
    for record in spool.everything():
        match record:
            case Opened():
                opened = record
            case Sent():
                sent = record
                run_ids |= {int(run): run_id for run, run_id in record.runs.items()}
            case RunStarted():
                open_runs.append(record.run)
            case RunEnded() if record.run in open_runs:
                open_runs.remove(record.run)
        if isinstance(record, RunStarted | Measured | RunEnded):
            time_ms = max(time_ms, record.time_ms)
    if opened is None:
        raise ValueError(f"{spool.path} is not a queue of records")
    for run in reversed(open_runs):
        spool.append(RunEnded(run=run, status="KILLED", time_ms=time_ms))
    target, experiment = _target(opened, state_folder, location), opened.experiment
    return Delivery(
        spool,
        lambda: connect(target, experiment),
        opened.run_id,
        offset=sent.offset,
        run_ids=run_ids,
        is_stale=_is_stale,
    )


def _is_stale(record: Record) -> bool:
    """The pointer that the champion follows may have moved since: each run sets it for itself."""
    return isinstance(record, ChampionSet) and record.alias == CHAMPION


def _target(opened: Opened, state_folder: Path, location: Location) -> Location:
    if opened.uri is None:
        return embedded(state_folder)
    return location if location.public_uri == opened.uri else at(opened.uri, state_folder)
