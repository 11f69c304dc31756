"""What records are written into, as their sender sees it."""

from collections.abc import Sequence
from typing import Protocol

from tasks.tracking.records import Record


class Refused(Exception):
    """MLflow answered and will never take this."""


class Sink(Protocol):
    """Where records go; `tasks.tracking.mlflow_sink.MlflowSink` is the real one."""

    experiment_id: str
    versions: dict[int, str]

    def write(self, records: Sequence[Record], run_ids: dict[int, str], owner: str) -> None:
        """Write in order; see `MlflowSink.write`."""
