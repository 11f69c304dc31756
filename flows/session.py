"""What the flows of one run share: the store, the tracker, the watcher's console, the outcomes."""

import contextlib
import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect.runtime import deployment
from pydantic import BaseModel, ConfigDict

from flows.dask_cluster import DaskWorkers
from flows.earlier_runs import free_what_earlier_runs_left
from flows.links import Links
from flows.log_pipe import PatientConsole, outlive_reader
from flows.terminal import Terminal
from model.errors import CorpusmithError, RequestError
from tasks.execute import Outcome
from tasks.store.remote.location import is_remote
from tasks.store.run_records import COMPLETED, FAILED, STOPPED, WHOLE_CHAIN, begun, ended
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.tracking import Tracker, open_tracker

_STATES = {"FINISHED": COMPLETED, "FAILED": FAILED, "KILLED": STOPPED}  # MLflow's, and ours

_current: ContextVar["Session | None"] = ContextVar("corpusmith_session", default=None)


class PartOf(BaseModel):
    """The pipeline that a stage belongs to where another worker runs it; JSON values.

    Attributes:
        run_id: the pipeline's.
        experiment: where it is tracked.
        mlflow_run_id: its run there; None while MLflow is away.
        may_quote: whether the user lets text of documents go to the tracker.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: str
    experiment: str
    mlflow_run_id: str | None
    may_quote: bool

    @property
    def tags(self) -> dict[str, str]:
        """What makes a run of MLflow's appear below the pipeline's."""
        nested = {"mlflow.parentRunId": self.mlflow_run_id} if self.mlflow_run_id else {}
        return {"corpusmith.part_of": self.run_id, **nested}


@dataclass
class Session:
    """One run, from the first stage to the release.

    Attributes:
        may_quote: whether the user lets text of documents go to the tracker.
        record: what is written of the run beside its state, JSON values.
        links: from Prefect's pages to the tracker's.
        remote: Dask workers that do the work on shards, if there are any.
    """

    run_id: str
    workspace: Workspace
    store: Store
    tracker: Tracker
    console: Terminal
    may_quote: bool
    links: Links
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    remote: DaskWorkers | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The final metrics of the stages that are done, named ``stage/name``."""
        return {
            f"{stage}/{name}": value
            for stage, outcome in self.outcomes.items()
            for name, value in outcome.metrics.items()
        }

    @property
    def made(self) -> dict[str, dict[str, Any]]:
        """What became of the stages that are done, JSON values."""
        return {name: describe_outcome(outcome) for name, outcome in self.outcomes.items()}

    def note(self) -> None:
        """Write what is known by now, so that it is known of a run that is killed, too."""
        self.workspace.write_run(self.run_id, self.record | {"artifacts": self.made})

    def warn(self, text: str) -> None:
        """Say one line that must not be missed."""
        self.console.say(text, style="yellow")


@contextlib.contextmanager
def session(
    workspace: str,
    *,
    experiment: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    may_quote: bool = False,
    has_begun: bool = False,
    flow: str = WHOLE_CHAIN,
    until: str | None = None,
) -> Iterator[Session]:
    """The run in progress if there is one, else a new one that ends with this block.

    The workspace has a record of it from its first moment on.

    Args:
        workspace: its place; on a worker it must not depend on the folder the worker runs in.
        experiment: of the tracker.
        params: what the tracker shows as settings.
        tags: of the tracker's run.
        may_quote: whether text of documents may go to the tracker.
        has_begun: whether artifacts to read must be in the workspace already.
        flow: what runs, for the record.
        until: the stage it ends with, for the record; None = the whole chain, if it is one.

    Raises:
        RequestError: the workspace is not to be seen from here, or cannot serve.
    """
    running = _current.get()
    if running:
        yield running
        return
    free_what_earlier_runs_left()
    place = _place(workspace, has_begun=has_begun)
    opened = _open(place, experiment, params, tags, may_quote)
    _begin_record(opened, flow, until, tags)
    token = _current.set(opened)
    status = "KILLED"
    try:
        yield opened
        status = "FINISHED"
    except Exception:  # goes on; only noted how the run ended
        status = "FAILED"
        raise
    finally:
        _current.reset(token)
        _end_record(opened, status)
        opened.tracker.close(status)
        if status != "KILLED":  # whoever killed us will not wait
            opened.links.make_known()


def _begin_record(run: Session, flow: str, until: str | None, tags: Mapping[str, str]) -> None:
    flow_run_id = tags.get("prefect.flow_run_id")
    if flow == WHOLE_CHAIN:
        run.record["until"] = until
    run.record |= begun(run.run_id, flow) | {"prefect": {"flow_run_id": flow_run_id}}
    run.workspace.write_run(run.run_id, run.record)
    if flow_run_id:
        run.links.add("mlflow-run", flow_run_id)


def _end_record(run: Session, status: str) -> None:
    """What was made stands in the record however the run ended, so that nothing deletes it."""
    record = ended(run.record | {"artifacts": run.made}, _STATES[status])
    try:
        run.workspace.write_run(run.run_id, record)
    except (OSError, CorpusmithError) as error:
        if status == "FINISHED":
            raise
        run.warn(f"the record of this run could not be written: {error}")


def describe_outcome(outcome: Outcome) -> dict[str, Any]:
    """What became of a stage, as records and answers tell it."""
    ref = outcome.ref.model_dump(mode="json", include={"input_id", "content_id", "path"})
    return {**ref, "reused": outcome.reused, "seconds": outcome.seconds}


def refuse_unshared(location: str) -> None:
    """Refuse a place that depends on the folder in which a worker runs.

    Raises:
        RequestError: it does, and a worker runs this.
    """
    shared = is_remote(location) or Path(location).expanduser().is_absolute()
    if deployment.id and not shared:
        raise RequestError(
            f"workspace {location!r}: a worker runs in a folder of its own that is removed "
            "afterwards: give the deployment an absolute path that all its workers see, or s3://"
        )


def _place(location: str, *, has_begun: bool) -> Workspace:
    refuse_unshared(location)
    if has_begun and not Workspace.at(location).exists:
        advice = "mount it there, at the same path on every worker"
        if is_remote(location):
            advice = "see that AWS_ENDPOINT_URL and the bucket are the same on every worker"
        raise RequestError(
            f"there is no workspace at {location} on {platform.node()}: what earlier stages made "
            f"lies in it, so {advice}"
        )
    return Workspace.open(location)


def _open(
    workspace: Workspace,
    experiment: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    may_quote: bool,
) -> Session:
    if deployment.id:
        outlive_reader()
    console = PatientConsole(stderr=True, soft_wrap=True)

    def warn(text: str) -> None:
        console.say(text, style="yellow")

    def say(text: str) -> None:
        console.say(text)

    store = Store(workspace, warn=warn, say=say)
    run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{secrets.token_hex(3)}"
    tracker = open_tracker(
        workspace.state,
        experiment=experiment,
        run_id=run_id,
        run_name=run_id,
        tags={"corpusmith.run_id": run_id, **tags},
        params=params,
        warn=warn,
    )
    links = Links(tracker, warn)
    return Session(run_id, workspace, store, tracker, console, may_quote, links)
