"""Carries one spool's records to MLflow, in order; what arrives twice counts once."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from importlib import import_module

from tasks.tracking.latency import Latency
from tasks.tracking.location import Location, prepare_environment
from tasks.tracking.records import Record, Sent
from tasks.tracking.sink import Refused, Sink
from tasks.tracking.spool import Spool


def connect(location: Location, experiment: str, latency: Latency | None = None) -> Sink:
    """The MLflow at that place. Imports the library (2 s), and makes a new database (7 s)."""
    from tasks.tracking.mlflow_sink import MlflowSink

    return MlflowSink(location, experiment, latency)


def load_early(location: Location) -> None:
    """Begin to import MLflow in the background, so that it is there when the first run is sent.

    To be called where the program waits for something else: the 2 to 3 s fall into that time.
    """
    prepare_environment()
    modules = ["tasks.tracking.mlflow_sink"]
    if not location.is_server:
        modules.append("mlflow.store.tracking.sqlalchemy_store")
    loading = threading.Thread(
        target=_load, args=(modules,), name="corpusmith-tracking-import", daemon=True
    )
    loading.start()


def _load(modules: Sequence[str]) -> None:
    with contextlib.suppress(Exception):  # `connect` meets it again, where it is told
        for module in modules:
            import_module(module)


class Delivery:
    """How far one spool has come.

    Attributes:
        spool: the records.
        run_ids: MLflow's ids of the runs made so far, by run number.
        sink: the open connection, once there is one.
        num_refused: records MLflow would not take.
        refusal: why, for the first of them.
    """

    def __init__(
        self,
        spool: Spool,
        connect: Callable[[], Sink],
        owner: str,
        *,
        offset: int = 0,
        run_ids: dict[int, str] | None = None,
        is_stale: Callable[[Record], bool] = lambda record: False,
    ) -> None:
        """Go on at `offset` with the runs already made; `owner` is corpusmith's id of the run.
        Records that `is_stale` names are not sent any more."""
        self.spool = spool
        self.run_ids = dict(run_ids or {})
        self.sink: Sink | None = None
        self.num_refused = 0
        self.refusal: str | None = None
        self._connect = connect
        self._owner = owner
        self._offset = offset
        self._is_stale = is_stale

    @property
    def num_waiting(self) -> int:
        """How many records have not been sent."""
        return self.spool.num_waiting(self._offset)

    def step(self) -> bool:
        """Send one batch; False if there was nothing to send.

        Raises:
            Exception: MLflow cannot be reached; the batch stays first in line.
        """
        records, after = self.spool.read(self._offset)
        if records:
            known = set(self.run_ids)
            self._send([record for record in records if not self._is_stale(record)])
            made = {str(run): self.run_ids[run] for run in self.run_ids.keys() - known}
            self.spool.append(Sent(offset=after, runs=made))
        self._offset = after
        return bool(records)

    def _send(self, records: Sequence[Record]) -> None:
        if self.sink is None:
            self.sink = self._connect()
        try:
            self.sink.write(records, self.run_ids, self._owner)
        except Refused as refusal:
            if len(records) > 1:  # find the one; what is written again counts once
                for record in records:
                    self._send([record])
            else:
                self.num_refused += 1
                self.refusal = self.refusal or str(refusal)
