"""Runs one stage: returns its committed artifact, or does the work and commits one."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from model.errors import CorpusError, RequestError
from tasks.settings import StageConfig
from tasks.stage import Metrics, RemoteWorkers, Reporter, ShardMapper, Stage, StageContext
from tasks.store.artifact import Artifact, ArtifactRef
from tasks.store.disk import Room
from tasks.store.hashing import walk
from tasks.store.identity import ERASED_SOURCE, Identity
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.tombstones import NO_TOMBSTONES, Tombstones, read_tombstones, refuse_unfinished


@dataclass(frozen=True)
class Outcome:
    """What became of a stage in this run.

    Attributes:
        ref: the committed artifact.
        reused: True when nothing had to be done.
        seconds: wall time of this run, reuse check included.
        metrics: the stage's final metrics, also where it was reused.
    """

    ref: ArtifactRef
    reused: bool
    seconds: float
    metrics: Metrics


def identify(
    stage: Stage,
    config: StageConfig,
    upstream_ids: Mapping[str, str],
    erased: Tombstones = NO_TOMBSTONES,
) -> Identity:
    """The request's identity, known before any work. Hashes the user's files where it has any.

    What was erased from the workspace belongs to it where the stage heeds that, once there is any.
    """
    sources = stage.sources(config) if stage.sources else None
    if stage.heeds_erasures and erased.digest:
        sources = [*(sources or []), [ERASED_SOURCE, erased.digest]]
    return Identity(
        stage=stage.name,
        version=stage.version,
        settings=config.identity(),
        inputs={name: upstream_ids[name] for name in stage.reads(config)},
        sources=sources,
    )


def execute(
    stage: Stage,
    config: StageConfig,
    inputs: Mapping[str, ArtifactRef],
    *,
    store: Store,
    report: Reporter,
    map_shards: ShardMapper,
    remote: RemoteWorkers | None = None,
) -> Outcome:
    """Find the stage's artifact or make it; `remote` may do the work on its shards.

    Raises:
        ArtifactError: an input is not there or damaged.
        RequestError: the workspace lets nothing of this stage be committed, or an erasure is going
            on in it, did not end, or came between.
        DiskFullError: there is no room for it; what was finished stays.
        CorpusmithError: whatever the stage's function refuses; nothing is committed then.
    """
    started = time.monotonic()
    inputs = {name: inputs[name] for name in stage.reads(config)}
    refuse_unfinished(store.workspace)
    erased = read_tombstones(store.workspace)
    upstream_ids = {name: ref.input_id for name, ref in inputs.items()}
    identity = identify(stage, config, upstream_ids, erased)
    found = store.find(identity, inputs)
    if found:
        return _outcome(found, reused=True, started=started)
    store.prepare(stage.name)
    with store.lease(stage.name, identity.input_id) as lease:
        refuse_unfinished(store.workspace)  # an erasure looks for leases after it has said so
        _refuse_erased_meanwhile(stage, store.workspace, erased)  # one that ended before the lease
        found = store.find(identity, inputs)  # another process may have made it meanwhile
        if found:
            return _outcome(found, reused=True, started=started)
        finished = store.finish(lease, identity, inputs)  # or have died at the very end
        if finished:
            return _outcome(finished, reused=False, started=started)
        with store.staging(lease, inputs, stage.goes_on_from) as staging:
            upstream = {name: store.resolve(ref) for name, ref in inputs.items()}
            room = Room(staging.folder)
            context = StageContext(
                config,
                upstream,
                staging.folder,
                report,
                map_shards,
                remote,
                partial(_earlier, store, identity),
                partial(store.newest, stage.name),
                erased,
                room.need,
            )
            information = _run(stage, context, room, started=started)
            _refuse_changed_sources(stage, identity, identify(stage, config, upstream_ids, erased))
            _refuse_erased_meanwhile(stage, store.workspace, erased)
            artifact = staging.commit(identity, inputs, information)
    return _outcome(artifact, reused=False, started=started)


def _run(stage: Stage, context: StageContext, room: Room, *, started: float) -> dict[str, Any]:
    """The stage's function; what is told of it beside its output."""
    goes_on = any(True for _ in walk(context.output))
    with room.explaining():
        metrics = stage.run(context)
    return {
        "metrics": metrics,
        "seconds": round(time.monotonic() - started, 3),
        "resumed": goes_on,  # then these are the seconds of the last attempt only
    }


def _earlier(store: Store, identity: Identity) -> Path | None:
    artifact = store.latest(identity)
    return artifact.path if artifact else None


def _refuse_changed_sources(stage: Stage, before: Identity, after: Identity) -> None:
    """What was read must be what the identity names, or the artifact would lie."""
    if before.sources != after.sources:
        raise CorpusError(f"{stage.name}: source files changed since the run began: run it again")


def _refuse_erased_meanwhile(stage: Stage, workspace: Workspace, erased: Tombstones) -> None:
    """What was erased since they were read must not come into the artifact."""
    if read_tombstones(workspace) != erased:
        raise RequestError(f"{stage.name}: documents were erased meanwhile: run it again")


def _outcome(artifact: Artifact, *, reused: bool, started: float) -> Outcome:
    metrics = dict(artifact.manifest.information.get("metrics", {}))
    return Outcome(artifact.ref, reused, round(time.monotonic() - started, 3), metrics)
