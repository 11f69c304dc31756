"""What a run tells the tracker. Nothing here waits for MLflow, and nothing raises."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tasks.redaction import without_secrets
from tasks.tracking.delivery import Delivery, connect
from tasks.tracking.latency import Latency
from tasks.tracking.location import (
    Location,
    experiment_name,
    locate,
    prepare_environment,
    run_page,
)
from tasks.tracking.params import MAX_TAG_CHARACTERS, as_text, cut, flatten, valid_name
from tasks.tracking.records import (
    PARENT,
    ChampionSet,
    DatasetUsed,
    EmbedderRegistered,
    FileKept,
    Measured,
    Opened,
    RunEnded,
    RunStarted,
    Tagged,
    now_ms,
)
from tasks.tracking.replay import SPOOL_FOLDER, Replay
from tasks.tracking.sender import Sender
from tasks.tracking.sink import Sink
from tasks.tracking.spool import Spool
from tasks.tracking.system import SystemSampler

CHALLENGER = "challenger"
LIMIT_S = 600.0  # at the end, for an MLflow that answers: a model may be on its way
KILLED_LIMIT_S = 5.0  # whoever killed us will not wait long
REGISTER_LIMIT_S = 600.0
ABOUT_LIMIT_S = 60.0


def open_tracker(
    state_folder: Path,
    *,
    experiment: str,
    run_id: str,
    run_name: str,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    warn: Callable[[str], None] | None = None,
) -> "Tracker":
    """Begin a run's record. Returns at once; MLflow is loaded and reached in the background.

    Args:
        state_folder: of the workspace; holds the queue, and MLflow's database and files where no
            MLFLOW_TRACKING_URI is set.
        experiment: its name; the default name gives way to MLFLOW_EXPERIMENT_NAME.
        run_id: corpusmith's own id of the run; names the queue's file.
        run_name: as MLflow shows it.
        tags: of the parent run.
        params: the resolved settings, nested or flat.
        warn: takes the one line that must not be missed; standard error where it is left out.

    Raises:
        OSError: the state folder cannot be written.
    """
    prepare_environment()
    location, experiment = locate(state_folder), experiment_name(experiment)
    spool = Spool.create(state_folder / SPOOL_FOLDER, run_id)
    uri = None if location.is_embedded else location.public_uri
    spool.append(Opened(run_id=run_id, uri=uri, experiment=experiment))
    tracker = Tracker(state_folder, spool, location, experiment, run_id, warn or _to_stderr)
    tracker._begin(run_name, tags, params)
    return tracker


class StageTrack:
    """One run of the tracker's: a stage's, nested in the parent, or the parent itself."""

    def __init__(self, spool: Spool, run: int, stage: str | None) -> None:
        """Use `Tracker.stage`."""
        self._spool = spool
        self._run = run
        self._prefix = f"{stage}/" if stage else ""
        self._last_steps: dict[str, int] = {}

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Record numbers as ``stage/name``; those without a step are final and the parent's too."""
        named = {valid_name(self._prefix + name): float(value) for name, value in values.items()}
        if step is not None:
            self._last_steps |= dict.fromkeys(named, step)
            self._measure(self._run, named, step)
            return
        for name, value in named.items():
            self._measure(self._run, {name: value}, self._last_steps.get(name, 0))
        if self._run != PARENT:
            self._measure(PARENT, named, 0)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file or folder that stays as it is; no documents, unless allowed."""
        self._spool.append(FileKept(run=self._run, path=str(path.resolve()), folder=folder))

    def dataset(
        self,
        name: str,
        digest: str,
        source: str,
        context: str,
        *,
        profile: Mapping[str, float] | None = None,
        of_parent: bool = True,
    ) -> None:
        """Name data the run used: what it is, its hash (36 characters count), where, what for.

        The parent used it too, unless it has been told: its line in MLflow's list of runs says
        of which data it is. `profile` counts what is in it.
        """
        named = {"name": name, "digest": digest, "source": source, "context": context}
        for run in sorted({PARENT, self._run} if of_parent else {self._run}):
            self._spool.append(DatasetUsed(run=run, **named, profile=dict(profile or {})))

    def tag(self, key: str, value: str) -> None:
        """Set a tag; a later value replaces it."""
        value = cut(as_text(value), MAX_TAG_CHARACTERS)
        self._spool.append(Tagged(run=self._run, key=valid_name(key), value=value))

    def load(self, values: Mapping[str, float], step: int) -> None:
        """Record the machine's load under the names given; sample number `step`."""
        self._measure(self._run, dict(values), step)

    def _measure(self, run: int, values: dict[str, float], step: int) -> None:
        self._spool.append(Measured(run=run, values=values, step=step, time_ms=now_ms()))


class Tracker:
    """The record of one run of corpusmith: a parent run, and a nested one a stage."""

    def __init__(
        self,
        state_folder: Path,
        spool: Spool,
        location: Location,
        experiment: str,
        run_id: str,
        warn: Callable[[str], None],
    ) -> None:
        """Use `open_tracker`."""
        self._spool = spool
        self._location = location
        self._experiment = experiment
        self._warn = warn
        self._numbers = count(PARENT)
        self._registrations = count()
        self._is_open = True
        self._parent = StageTrack(spool, PARENT, None)
        self._open_tracks = [self._parent]  # replaced, never changed: another thread reads it
        self._delivery = Delivery(spool, self._connect, run_id)
        self._replay = Replay(state_folder, location)
        self._latency = Latency.of(location)
        self._sender = Sender(self._delivery, self._replay, warn, self._latency)
        self._sampler = SystemSampler(self._load)

    @property
    def about(self) -> dict[str, str | None]:
        """Where the run is recorded; ``run_id`` is MLflow's, None while that is away.

        Ask at the end: in its first seconds a run waits here for MLflow to be loaded.
        """
        self._sender.wait_for(lambda: PARENT in self._delivery.run_ids, ABOUT_LIMIT_S)
        return {
            "tracking_uri": self._location.public_uri,
            "experiment": self._experiment,
            "run_id": self._delivery.run_ids.get(PARENT),
        }

    @property
    def is_served(self) -> bool:
        """Whether the runs' pages are on a server already."""
        return self._location.is_server

    def page(self, track: StageTrack | None = None) -> str | None:
        """The address of a stage's run in MLflow, or of the parent's. Does not wait.

        None while MLflow has not made the run yet, and where no server is there to show it.
        """
        sink = self._delivery.sink
        run_id = self._delivery.run_ids.get(track._run if track else PARENT)
        return run_page(self._location, sink.experiment_id, run_id) if sink and run_id else None

    @contextmanager
    def stage(self, name: str, params: Mapping[str, Any]) -> Iterator[StageTrack]:
        """A nested run: FINISHED after the block, FAILED on an error, KILLED when interrupted."""
        run = self._start_run(name, {"corpusmith.stage": name}, flatten(params, f"{name}."))
        status = "FINISHED"
        track = StageTrack(self._spool, run, name)
        self._open_tracks = [*self._open_tracks, track]
        try:
            yield track
        except Exception:  # goes on; only noted how the stage ended
            status = "FAILED"
            raise
        except BaseException:
            status = "KILLED"
            raise
        finally:
            self._open_tracks = [other for other in self._open_tracks if other is not track]
            self._end_run(run, status)

    def metrics(self, values: Mapping[str, float]) -> None:
        """Record final numbers on the parent, under the names given (``stage/name``)."""
        self._parent.metrics(values)

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the parent."""
        self._parent.tag(key, value)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a copy of a file or folder with the parent."""
        self._parent.artifact(path, folder)

    def register_embedder(
        self,
        folder: Path,
        name: str,
        metadata: Mapping[str, str],
        *,
        card: str = "",
        metrics: Mapping[str, float] | None = None,
        dataset: tuple[str, str] | None = None,
    ) -> str | None:
        """Register a sentence-transformers folder as a model, its code beside it, no pickle.

        Waits until it has arrived, unless MLflow is away. A version with the same metadata is
        taken for the same one, so put a hash of the content there.

        Args:
            folder: the embedder's.
            name: of the registered model.
            metadata: become tags of the version.
            card: describes the version, in Markdown.
            metrics: shown on the model's page, by their full names.
            dataset: name and digest of the data behind them, as a stage named it before.

        Returns:
            The version; None where MLflow is away or refuses (then it is sent later, or reported).
        """
        number = next(self._registrations)
        record = EmbedderRegistered(
            run=PARENT,
            registration=number,
            folder=str(folder.resolve()),
            name=name,
            metadata=dict(metadata),
            card=card,
            metrics={valid_name(key): float(value) for key, value in (metrics or {}).items()},
            dataset=dataset,
        )
        self._spool.append(record)
        self._sender.wait_for(lambda: not self._delivery.num_waiting, REGISTER_LIMIT_S)
        sink = self._delivery.sink
        return sink.versions.get(number) if sink else None

    def set_champion(self, name: str, metadata: Mapping[str, str]) -> None:
        """Point the alias ``champion`` at the version registered with this metadata.

        Only now: where MLflow is away it is not sent later, for by then the pointer that the alias
        follows may have moved. The next run sets it anew.
        """
        self._spool.append(ChampionSet(name=name, metadata=dict(metadata)))

    def set_challenger(self, name: str, metadata: Mapping[str, str]) -> None:
        """Point the alias ``challenger`` at the version registered with this metadata."""
        self._spool.append(ChampionSet(name=name, metadata=dict(metadata), alias=CHALLENGER))

    def close(self, status: str = "FINISHED") -> None:
        """End the run (FINISHED, FAILED or KILLED), send the rest, and say so if some had to stay.

        Takes as long as MLflow takes; at most 5 s if it is away, slow or the run was killed. Second
        calls do nothing.
        """
        if not self._is_open:
            return
        self._is_open = False
        self._sampler.stop()
        self._end_run(PARENT, status)
        limit_s = KILLED_LIMIT_S if status == "KILLED" else LIMIT_S
        if self._sender.finish(limit_s=limit_s):
            self._spool.remove()
        else:
            self._warn(self._what_stays())
        self._sender.let_go()
        self._report_losses()

    def _begin(self, run_name: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> None:
        self._start_run(run_name, tags, flatten(params))
        self._sender.start()

    def _connect(self) -> Sink:
        try:
            return connect(self._location, self._experiment, self._latency)
        finally:
            if self._is_open and not self._sampler.ident:
                self._sampler.start()  # not before: it needs MLflow, which is loaded by now

    def _load(self, values: Mapping[str, float], step: int) -> None:
        """The machine's load belongs to every run that is open."""
        for track in self._open_tracks:
            track.load(values, step)

    def _start_run(self, name: str, tags: Mapping[str, str], params: dict[str, str]) -> int:
        run = next(self._numbers)
        shown = {
            valid_name(key): cut(as_text(value), MAX_TAG_CHARACTERS) for key, value in tags.items()
        }
        self._spool.append(
            RunStarted(run=run, name=name, tags=shown, params=params, time_ms=now_ms())
        )
        return run

    def _end_run(self, run: int, status: str) -> None:
        self._spool.append(RunEnded(run=run, status=status, time_ms=now_ms()))

    def _what_stays(self) -> str:
        return (
            f"{self._delivery.num_waiting} records for MLflow at {self._location.public_uri} "
            f"wait in {self._spool.path} and are sent at the next start ({self._sender.why})"
        )

    def _report_losses(self) -> None:
        if self._replay.num_failed:
            self._warn(
                f"records of {self._replay.num_failed} earlier runs could again not be sent to "
                f"MLflow at {self._location.public_uri}: they wait in {self._spool.path.parent}"
            )
        if self._delivery.num_refused:
            self._warn(
                f"MLflow refused {self._delivery.num_refused} records of this run, which are lost "
                f"({without_secrets(str(self._delivery.refusal))})"
            )
        if self._spool.num_lost:
            self._warn(f"{self._spool.num_lost} records could not be written to {self._spool.path}")


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
