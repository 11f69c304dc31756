"""What a run would do and reuse, before anything starts; nothing is written."""

from dataclasses import replace
from typing import Any

from flows.config import PipelineConfig
from flows.cost import RUN_S, STAGE_S, Cost, estimate
from flows.graph import STAGE_NAMES, StageName, load_stage
from flows.past_runs import past_runs
from flows.speed import measured_speed, usual_speed
from model.errors import ArtifactError
from tasks.execute import identify
from tasks.ingest.places.paths import check_paths
from tasks.store.identity import Identity, explain_difference
from tasks.store.manifest import Manifest
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.tombstones import Tombstones, read_tombstones


def plan_run(config: PipelineConfig, location: str, *, why: bool) -> dict[str, Any]:
    """Each stage with its input id and whether it would run, and what the run would cost.

    Raises:
        RequestError: a source path does not exist or the workspace cannot be read.
    """
    check_paths(config.ingest)
    workspace = Workspace.at(location)
    store = Store(workspace, warn=lambda _: None)  # what is damaged would be made again
    identities = _identities(config, read_tombstones(workspace))
    known = {name: _manifest(store, identity) for name, identity in identities.items()}
    costs = _costs(config, known, store)
    stages = [
        _describe(identity, known[name], costs[name], store, why=why)
        for name, identity in identities.items()
    ]
    return {"workspace": workspace.location, "stages": stages, "totals": _totals(costs, known)}


def _costs(
    config: PipelineConfig, known: dict[StageName, Manifest | None], store: Store
) -> dict[StageName, Cost]:
    """Of every stage; where one is due, by what this machine took before."""
    found = {name: manifest for name, manifest in known.items() if manifest}
    past, speed = past_runs(store), usual_speed()
    costs = {
        name: past.calibrate(name, cost, speed)
        for name, cost in estimate(config, found, speed).items()
    }
    if all(cost.is_measured for name, cost in costs.items() if not known[name]):
        return costs
    guesses = estimate(config, found, measured_speed())
    return {
        name: cost if cost.is_measured else replace(guesses[name], rests_on=cost.rests_on)
        for name, cost in costs.items()
    }


def _identities(config: PipelineConfig, erased: Tombstones) -> dict[StageName, Identity]:
    identities: dict[StageName, Identity] = {}
    for name in STAGE_NAMES:
        ids: dict[str, str] = {done: identities[done].input_id for done in identities}
        identities[name] = identify(load_stage(name), getattr(config, name), ids, erased)
    return identities


def _manifest(store: Store, identity: Identity) -> Manifest | None:
    """The committed answer to this request. A damaged one would be made again."""
    try:
        return store.get(identity.stage, identity.input_id).manifest
    except ArtifactError:
        return None


def _describe(
    identity: Identity, manifest: Manifest | None, cost: Cost, store: Store, *, why: bool
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "stage": identity.stage,
        "action": "reuse" if manifest else "run",
        "input_id": identity.input_id,
        "expects": "" if manifest else cost.summary,
        "seconds": 0.0 if manifest else round(cost.seconds, 1),
        "rests_on": "" if manifest else cost.rests_on,
    }
    if why:
        described["why"] = [] if manifest else _reasons(store, identity)
    return described


def _reasons(store: Store, wanted: Identity) -> list[str]:
    """What sets the request apart from the nearest one that was answered before.

    That an upstream stage runs again says something only where nothing else does.
    """
    differences = [
        (explain_difference(_with_inputs_of(each.manifest.identity, wanted), wanted), each.manifest)
        for each in store.artifacts(wanted.stage)
    ]
    if not differences:
        return [f"{wanted.stage}: has not run in this workspace"]
    own, nearest = min(differences, key=lambda difference: len(difference[0]))
    changed = [
        upstream
        for upstream, input_id in wanted.inputs.items()
        if nearest.identity.inputs.get(upstream) != input_id
    ]
    if own or not changed:
        return own or [f"{wanted.stage}: its artifact is damaged"]
    return [f"{wanted.stage}: follows {', '.join(changed)}"]


def _with_inputs_of(old: Identity, new: Identity) -> Identity:
    """The old request as if it had read what the new one reads."""
    return old.model_copy(update={"inputs": new.inputs})


def _totals(
    costs: dict[StageName, Cost], known: dict[StageName, Manifest | None]
) -> dict[str, Any]:
    due = [cost for name, cost in costs.items() if not known[name]]
    overhead_s = RUN_S + STAGE_S * len(costs)
    return {
        "seconds": round(overhead_s + sum(cost.seconds for cost in due), 1),
        "overhead_seconds": overhead_s,
        "guessed_seconds": round(sum(cost.seconds for cost in due if not cost.is_measured), 1),
        "disk_bytes": sum(cost.disk_bytes for cost in due),
        "memory_bytes": max((cost.memory_bytes for cost in due), default=0),
        "num_parameters": costs["pretrain"].num_parameters,
        "training_tokens": costs["pretrain"].num_tokens,
        "training_flops": costs["pretrain"].flops,
    }
