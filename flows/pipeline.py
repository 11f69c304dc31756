"""The whole chain as one Prefect flow: from files to a release."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from prefect import Flow, flow, tags
from prefect.runtime import flow_run
from prefect.states import Cancelled
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows import stages
from flows.announce import announce, announce_refusal
from flows.clearing import clearing_in_peace
from flows.config import PipelineConfig
from flows.dask_cluster import dask_workers
from flows.elsewhere import make_elsewhere, refuse_undeployed, sent_stages
from flows.graph import ARTIFACT, StageName, stages_for, upstream_of
from flows.links import flow_run_tags
from flows.notify import tell_of_failure, tell_of_refusal, tell_of_release
from flows.perform import run_name
from flows.publication import publish_release
from flows.registration import register
from flows.released import place_to_read
from flows.session import Session, session
from flows.twin import older_twin
from tasks.store.artifact import ArtifactRef
from tasks.store.run_records import WHOLE_CHAIN

FLOWS: dict[StageName, Flow[..., Any]] = {
    "ingest": stages.ingest,
    "vocab": stages.vocab,
    "tokenize": stages.tokenize,
    "pretrain": stages.pretrain,
    "tune": stages.tune,
    "probe": stages.probe,
    "evaluate": stages.evaluate,
    "export": stages.export,
}


@flow(
    flow_run_name=run_name,
    persist_result=True,
    result_serializer="json",
    on_failure=[tell_of_failure],
    on_crashed=[tell_of_failure],
)
def pipeline(
    config: PipelineConfig, workspace: str = stages.WORKSPACE, until: StageName | None = None
) -> dict[str, Any]:
    """Run the chain and publish its embeddings; or run it up to one stage, without side branches.

    Returns:
        The run's record: run id, artifacts, metrics, and where MLflow and Prefect keep it; or a
        Prefect state where another run does the same.
    """
    flow_run_id = str(flow_run.id)
    if twin := older_twin():
        return cast(dict[str, Any], Cancelled(message=f"the run {twin} does the same"))
    refuse_undeployed(config.workers, stages_for(until, config))
    with run_of_stages(config, workspace, until=until) as run:
        made = run_stages(config, workspace, until, run)
        record = describe(run, flow_run_id)
        if until is None:
            record |= publish_made(config, run, made)
        run.record |= record
        return record


@contextlib.contextmanager
def run_of_stages(
    config: PipelineConfig,
    workspace: str,
    *,
    flow: str = WHOLE_CHAIN,
    until: StageName | None = None,
) -> Iterator[Session]:
    """The session of a run of several stages, its Dask workers, and its tags in Prefect."""
    with (
        clearing_in_peace(),
        dask_workers(config.workers, workspace) as remote,
        session(
            workspace,
            experiment=config.tracking.experiment,
            params=config.model_dump(mode="json"),
            tags=flow_run_tags(),
            may_quote=config.privacy.examples,
            flow=flow,
            until=until,
        ) as run,
        tags("corpusmith", run.run_id),
    ):
        run.remote = remote
        yield run


def run_stages(
    config: PipelineConfig, workspace: str, until: StageName | None, run: Session
) -> dict[StageName, ArtifactRef]:
    """Each stage in its turn, handed what it reads; the graph itself stands in `flows.graph`."""
    made: dict[StageName, ArtifactRef] = {}
    for name in stages_for(until, config):
        inputs = {upstream: made[upstream] for upstream in upstream_of(name, config)}
        made[name] = run_stage(name, config, inputs, run, workspace)
        run.note()
    return made


def run_stage(
    name: StageName,
    config: PipelineConfig,
    inputs: Mapping[StageName, ArtifactRef],
    run: Session,
    workspace: str,
) -> ArtifactRef:
    """One stage, here or in the pool that takes it; returns what it made or found."""
    started = time.monotonic()
    was_sent = sent_stages(config.workers, [name]) and make_elsewhere(
        name, config, inputs, run, workspace
    )
    named = {ARTIFACT[upstream]: reference for upstream, reference in inputs.items()}
    # Where another worker has made the artifact, this finds it, and records what it holds.
    reference = _flow(name, run)(getattr(config, name), **named, workspace=workspace)
    if was_sent:
        seconds = round(time.monotonic() - started, 3)
        run.outcomes[name] = replace(run.outcomes[name], reused=False, seconds=seconds)
    return ArtifactRef.model_validate(reference)


def _flow(name: StageName, run: Session) -> Flow[..., Any]:
    """The stage's flow; with Dask workers, as many of its shards at a time as they can take."""
    if run.remote is None:
        return FLOWS[name]
    threads: TaskRunner[Any] = ThreadPoolTaskRunner(run.remote.num_shards)
    return FLOWS[name].with_options(task_runner=threads)


def describe(run: Session, flow_run_id: str) -> dict[str, Any]:
    """The record of a run, as the command line prints it with ``--json``."""
    return {
        "run_id": run.run_id,
        "workspace": run.workspace.location,
        "artifacts": run.made,
        "metrics": run.metrics,
        "mlflow": run.tracker.about,
        "prefect": {"flow_run_id": flow_run_id},
    }


def publish_made(
    config: PipelineConfig, run: Session, made: dict[StageName, ArtifactRef]
) -> dict[str, Any]:
    """Publish what was made, or refuse it, and let everybody know.

    The tracker's aliases follow the pointer, so they are set after it, and again by every run.

    Returns:
        Of the record: the current release, as ``published`` the path that readers use (None where
        the run published nothing), why the challenger was refused if it was, and the trial if
        there was one.
    """
    done = publish_release(run, made, config)
    record: dict[str, Any] = {
        "release": done.release.model_dump(mode="json"),
        "published": place_to_read(run.workspace, done.release) if done.is_switch else None,
    }
    if done.refused:
        record["refused"] = done.refused
        reasons = "; ".join(done.refused["reasons"])
        run.warn(f"not published, release {done.release.id} stays: {reasons}")
    register(run, done.release, done.refused)
    if done.refused:
        announce_refusal(run.workspace, done.release, done.refused, run.warn)
        tell_of_refusal(config.notify.block, run, done.refused)
    if done.is_switch:
        before = done.before.id if done.before else None
        announce(run.workspace, done.release, "published", before, run.warn)
        tell_of_release(config.notify.block, run, done.release)
    return record | {
        "artifacts": run.made,
        "metrics": run.metrics,
    }
