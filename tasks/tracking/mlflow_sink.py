"""Writes records into MLflow. Each may arrive twice and counts once.

MLflow itself drops a metric it already has (same run, name, time, step and value); runs are found
again by a tag of ours; the rest is set, not added.

Only explicit run ids are used: MLflow's "active run" belongs to one thread.
"""

import fcntl
import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException

from tasks.tracking.latency import Latency
from tasks.tracking.location import Location
from tasks.tracking.records import (
    CHAMPION,
    PARENT,
    ChampionSet,
    DatasetUsed,
    EmbedderRegistered,
    FileKept,
    Measured,
    Record,
    RunEnded,
    RunStarted,
    Tagged,
)
from tasks.tracking.registry import MAX_DIGEST_CHARACTERS, ModelRegistry
from tasks.tracking.relocate import relocate
from tasks.tracking.sink import Refused

TRACK_TAG = "corpusmith.track_id"  # run id and number: finds a run we may have made before
MAX_METRICS, MAX_PARAMS = 1000, 100  # of MLflow, per request
# MLflow opens an experiment on its pages for generative models unless it is told otherwise.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}

_REFUSALS = {
    "BAD_REQUEST",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "MALFORMED_REQUEST",
    "NOT_IMPLEMENTED",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
}


class MlflowSink:
    """One experiment of one MLflow.

    Attributes:
        experiment_id: MLflow's own.
        versions: model versions made, by registration number.
    """

    def __init__(self, location: Location, experiment: str, latency: Latency | None = None) -> None:
        """Connect, and make the experiment where it is new; `latency` is kept up to date.

        Raises:
            Exception: whatever MLflow, its database or the network come up with.
        """
        _quieten()
        self._latency = latency or Latency()
        with _embedded_store(location), _trying_databases_once(), self._latency.asking():
            self._client = MlflowClient(location.uri)
            self.experiment_id = self._find_or_make_experiment(location, experiment)
        self._registry = ModelRegistry(self._client, self.experiment_id)
        self.versions: dict[int, str] = {}

    def write(self, records: Sequence[Record], run_ids: dict[int, str], owner: str) -> None:
        """Write the records in their order.

        Args:
            records: all of one spool.
            run_ids: MLflow's id by run number; runs made here are added to it.
            owner: corpusmith's id of the run.

        Raises:
            Refused: MLflow will not take one of them; those before it have been written.
            Exception: MLflow cannot be reached; some of them may have been written.
        """
        measured: list[Measured] = []
        try:
            for record in records:
                if isinstance(record, Measured):
                    measured.append(record)
                else:
                    self._write_metrics(measured, run_ids)
                    measured = []
                    self._write(record, run_ids, owner)
            self._write_metrics(measured, run_ids)
        except MlflowException as error:
            if error.error_code in _REFUSALS and self._is_there():
                raise Refused(_first_line(error)) from error
            raise
        except (FileNotFoundError, KeyError, TypeError) as error:  # will be no better next time
            raise Refused(_first_line(error)) from error

    def make_champion(self, name: str, embedder: Path, metadata: Mapping[str, str]) -> str:
        """Let the alias ``champion`` point at the version with this metadata, registered from the
        embedder's folder if there is none; returns the version."""
        record = EmbedderRegistered(
            run=PARENT, registration=0, folder=str(embedder), name=name, metadata=dict(metadata)
        )
        version = self._registry.register(record, None)
        self._registry.set_alias(name, metadata, CHAMPION)
        return version

    def _is_there(self) -> bool:
        """Whether it was MLflow that refused, and not a gateway that does not find it just now."""
        with suppress(MlflowException):
            return bool(self._client.get_experiment(self.experiment_id))
        return False

    def _write(self, record: Record, run_ids: dict[int, str], owner: str) -> None:
        match record:
            case RunStarted():
                run_ids[record.run] = self._find_or_start_run(record, run_ids, owner)
            case FileKept(run=run, path=path, folder=folder):
                with self._latency.transferring():
                    self._keep_file(run_ids[run], Path(path), folder)
            case EmbedderRegistered(run=run):
                with self._latency.transferring():
                    version = self._registry.register(record, run_ids[run])
                self.versions[record.registration] = version
            case _:
                with self._latency.asking():
                    self._write_small(record, run_ids)

    def _write_small(self, record: Record, run_ids: dict[int, str]) -> None:
        client = self._client
        match record:
            case Tagged(run=run, key=key, value=value):
                client.set_tag(run_ids[run], key, value)
            case DatasetUsed(run=run):
                client.log_inputs(run_ids[run], [_dataset(record)])
            case ChampionSet(name=name, metadata=metadata, alias=alias):
                self._registry.set_alias(name, metadata, alias)
            case RunEnded(run=run, status=status, time_ms=time_ms):
                client.set_terminated(run_ids[run], status, time_ms)

    def _write_metrics(self, records: Sequence[Measured], run_ids: dict[int, str]) -> None:
        by_run: dict[int, list[Metric]] = defaultdict(list)
        for record in records:
            by_run[record.run] += [
                Metric(name, value, record.time_ms, record.step)
                for name, value in record.values.items()
            ]
        for run, metrics in by_run.items():
            for start in range(0, len(metrics), MAX_METRICS):
                with self._latency.asking():
                    self._client.log_batch(run_ids[run], metrics[start : start + MAX_METRICS])

    def _find_or_start_run(self, record: RunStarted, run_ids: dict[int, str], owner: str) -> str:
        track_id = f"{owner}/{record.run}"
        wanted = f"tags.`{TRACK_TAG}` = '{track_id}'"
        with self._latency.asking():
            found = self._client.search_runs([self.experiment_id], wanted, max_results=1)
        run_id = found[0].info.run_id if found else self._start_run(record, run_ids, track_id)
        params = [Param(name, value) for name, value in record.params.items()]
        for start in range(0, len(params), MAX_PARAMS):
            with self._latency.asking():
                self._client.log_batch(run_id, params=params[start : start + MAX_PARAMS])
        return str(run_id)

    def _start_run(self, record: RunStarted, run_ids: dict[int, str], track_id: str) -> str:
        tags = {**record.tags, TRACK_TAG: track_id, "mlflow.source.name": "corpusmith"}
        if record.run != PARENT:
            tags["mlflow.parentRunId"] = run_ids[PARENT]
        with self._latency.asking():
            run = self._client.create_run(
                self.experiment_id, start_time=record.time_ms, tags=tags, run_name=record.name
            )
        return str(run.info.run_id)

    def _keep_file(self, run_id: str, path: Path, folder: str | None) -> None:
        if path.is_dir():
            self._client.log_artifacts(run_id, str(path), folder)
        elif path.is_file():
            self._client.log_artifact(run_id, str(path), folder)
        else:
            raise FileNotFoundError(f"{path} is gone")

    def _find_or_make_experiment(self, location: Location, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            folder = location.artifact_folder
            place = folder.as_uri() if folder else None
            return str(self._client.create_experiment(name, place, EXPERIMENT_TAGS))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def _dataset(record: DatasetUsed) -> DatasetInput:
    dataset = Dataset(
        name=record.name,
        digest=record.digest[:MAX_DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": record.source}),
        profile=json.dumps(record.profile) if record.profile else None,
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", record.context)])


@contextmanager
def _embedded_store(location: Location) -> Iterator[None]:
    """Where the store is ours: one process at a time makes its tables or mends its paths."""
    if not (location.is_embedded and location.artifact_folder):
        yield
        return
    state = location.artifact_folder.parent
    descriptor = os.open(state / ".mlflow.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        relocate(state / "mlflow.db", location.artifact_folder)
        yield
    finally:
        os.close(descriptor)


def _quieten() -> None:
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def _trying_databases_once() -> Iterator[None]:
    """Else MLflow tries one that is away for 102 s, and no setting of its own says otherwise.

    Our queue tries again, and nobody waits for it.
    """
    from mlflow.store.db import utils

    tries, utils.MAX_RETRY_COUNT = utils.MAX_RETRY_COUNT, 1
    try:
        yield
    finally:
        utils.MAX_RETRY_COUNT = tries


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
