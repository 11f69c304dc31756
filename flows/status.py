"""What ``corpusmith status`` tells of a workspace: how things stand, read from its own files."""

import contextlib
import datetime
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.drift_history import newest_refresh
from flows.graph import STAGE_NAMES
from model.errors import ArtifactError
from tasks.release.pointer import Release, current
from tasks.store.artifact import Artifact
from tasks.store.erased import read_erased
from tasks.store.run_records import state_of
from tasks.store.store import Store
from tasks.store.workspace import Workspace

NUM_RUNS = 10
PARTS = ("artifacts", "staging", "quarantine", "state")  # of the workspace that may grow large

Answer = dict[str, Any]


def status_of(workspace: Workspace) -> Answer:
    """The recent runs, stages, the release and its age, the newest refresh, and the disk.

    Costs a look at every file's size, and reads no file but records and manifests.

    Raises:
        ArtifactError: the pointer to the release or the record of a run is damaged.
    """
    store = Store(workspace)
    artifacts = list(store.artifacts())
    published = current(workspace)
    runs = workspace.runs()
    return {
        "workspace": workspace.location,
        "release": published.model_dump(mode="json") if published else None,
        "embeddings": _embeddings(store, published) if published else None,
        "refresh": _refresh(newest_refresh(runs)),
        "num_runs": len(runs),
        "runs": [_run(record) for record in reversed(runs[-NUM_RUNS:])],
        "stages": _stages(store, artifacts),
        "artifacts": [_described(each) for each in artifacts],
        "disk": _disk(workspace),
    }


def _refresh(record: Mapping[str, Any] | None) -> Answer | None:
    """The newest refresh: when, how it ended, whether it published, and what it says of drift."""
    if record is None:
        return None
    told = record.get("drift") or {}
    return {
        "run_id": record.get("run_id"),
        "state": state_of(record),
        "started_at": record.get("started_at"),
        "published": bool(record.get("published")),
        "drift": told.get("says"),
        "proposal": record.get("proposal"),
    }


def _run(record: Answer) -> Answer:
    """One run as it is listed: what ran, how it ended, and where its pages are."""
    made = record.get("artifacts", {})
    stages = made if isinstance(made, dict) else {}
    spent = sum(stage.get("seconds", 0.0) for stage in stages.values())
    return {
        "run_id": record["run_id"],
        "flow": record.get("flow", "pipeline"),
        "state": state_of(record),
        "started_at": record.get("started_at"),
        "seconds": record.get("seconds", round(spent, 1)),
        "num_stages": len(stages),
        "num_reused": sum(bool(stage.get("reused")) for stage in stages.values()),
        "mlflow_run_id": record.get("mlflow", {}).get("run_id"),
        "prefect_flow_run_id": record.get("prefect", {}).get("flow_run_id"),
    }


def _stages(store: Store, artifacts: Sequence[Artifact]) -> list[Answer]:
    """Each stage with its newest artifact, how many there are, and whether someone is at work."""
    by_stage: dict[str, list[Artifact]] = defaultdict(list)
    for artifact in artifacts:
        by_stage[artifact.ref.stage].append(artifact)
    more = [name for name in by_stage if name not in STAGE_NAMES]
    return [_stage(store, name, by_stage[name]) for name in (*STAGE_NAMES, *more)]


def _stage(store: Store, name: str, made: Sequence[Artifact]) -> Answer:
    newest = max(made, key=_created_at, default=None)
    return {
        "stage": name,
        "is_working": store.is_at_work(name),
        "num_artifacts": len(made),
        "bytes": sum(each.manifest.total_bytes for each in made),
        "newest": newest.ref.path if newest else None,
        "created_at": _created_at(newest) if newest else None,
        "seconds": newest.manifest.information.get("seconds") if newest else None,
    }


def _embeddings(store: Store, release: Release) -> Answer:
    """What is published: how many vectors, and how old they are, by the clock on the wall."""
    told: Answer = {"path": release.export.path, "published_at": release.published_at}
    try:
        export = store.get(release.export.stage, release.export.input_id)
    except ArtifactError as error:
        return told | {"problem": str(error)}
    metrics = export.manifest.information.get("metrics", {})
    created_at = _created_at(export)
    erased = read_erased(export.path)
    num_erased = erased.num_documents if erased else 0
    return told | {
        "num_documents": int(metrics.get("num_documents", 0)) - num_erased,
        "dim": int(metrics.get("dim", 0)),
        "created_at": created_at,
        "age_s": _age_s(created_at),
    }


def _age_s(moment: str) -> float | None:
    try:
        then = datetime.datetime.fromisoformat(moment)
    except ValueError:
        return None
    return round(max(time.time() - then.timestamp(), 0.0), 1)


def _disk(workspace: Workspace) -> Answer:
    """Of this machine; what a bucket holds is told by stage."""
    folders = {name: workspace.path / name for name in PARTS} | {"state": workspace.state}
    parts = {name: _size(folder) for name, folder in folders.items()}
    return {
        "used_bytes": sum(parts.values()),
        "free_bytes": shutil.disk_usage(workspace.path).free,
        "parts": parts,
    }


def _size(folder: Path) -> int:
    """Bytes of the files below; those that a run at work removes meanwhile count nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total


def _described(artifact: Artifact) -> Answer:
    erased = read_erased(artifact.path)
    seconds = artifact.manifest.information.get("seconds")
    size = artifact.manifest.total_bytes
    return {**artifact.ref.model_dump(mode="json"), "seconds": seconds, "bytes": size} | (
        {"learned_from_erased": True} if erased and erased.has_learned else {}
    )


def _created_at(artifact: Artifact) -> str:
    return str(artifact.manifest.information.get("created_at", ""))
