"""Tells a Prefect server what corpusmith's workers can run: work pools, the deployments that
`deployments/prefect.yaml` describes, and what becomes of runs whose worker died."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.automations import make_automations
from flows.local_server import answers
from flows.servers import given_api, quieten_prefect
from model.errors import CorpusmithError, RequestError
from tasks.ingest.places.remote_uris import is_uri, parse_uri

if TYPE_CHECKING:  # Prefect reads its settings when it is imported
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

TAG = "corpusmith"
WORKSPACE_VARIABLE = "CORPUSMITH_WORKSPACE"
# A stage takes all processors or GPUs of its machine, so one run at a time is what a worker bears.
POOLS = ("cpu", "gpu")
WORKER_COMMAND = "prefect worker start --pool {pool} --type process --limit 1"


def prefect_file() -> Path:
    """The file that describes the deployments."""
    return Path(str(resources.files("deployments") / "prefect.yaml"))


def deploy(paths: Sequence[str], workspace: str) -> dict[str, Any]:
    """Make the work pools where they are missing, and make or renew deployments and automations.

    Schedules come switched off; those that somebody switched on stay on. Parameters that were
    changed on the server's pages are as in the file again.

    Args:
        paths: what the pipelines read; none: the built-in corpus.
        workspace: what all workers share, an absolute path or ``s3://bucket/prefix``.

    Returns:
        The server's address, and what it now holds; the commands that start workers.

    Raises:
        RequestError: a path is relative or carries a secret, or no server is named.
        CorpusmithError: the server does not answer, or refuses.
    """
    for path in (workspace, *paths):
        _refuse_relative(path)
        if is_uri(path):
            parse_uri(path)  # Prefect shows parameters
    api = given_api()
    if not api:
        raise RequestError("deploy needs a Prefect server: name its API in PREFECT_API_URL")
    quieten_prefect()
    if not answers(f"{api}/health"):
        raise CorpusmithError(f"the Prefect API at PREFECT_API_URL={api} does not answer: start it")
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        _make_pools(client)
        switched_on = _active(_deployments(client))
        _apply(workspace)
        _set_paths(client, list(paths))
        _switch_on(client, switched_on)
        automations = make_automations(client)
        described = [_described(*each) for each in _deployments(client).items()]
    return {
        "api": api,
        "prefect_file": str(prefect_file()),
        "deployments": described,
        "automations": automations,
        "workers": [WORKER_COMMAND.format(pool=pool) for pool in POOLS],
    }


def _refuse_relative(path: str) -> None:
    if "://" not in path and not Path(path).expanduser().is_absolute():
        raise RequestError(
            f"deploy: {path} is relative to a folder that no worker runs in: give an absolute path"
        )


def _make_pools(client: "SyncPrefectClient") -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    for pool in POOLS:
        # One that is there keeps what its owner has set.
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_pool(
                WorkPoolCreate(name=pool, type="process", base_job_template=template)
            )


def _apply(workspace: str) -> None:
    command = ["-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file"]
    done = subprocess.run(
        [sys.executable, *command, str(prefect_file())],
        env={**os.environ, WORKSPACE_VARIABLE: workspace},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "rror" in line]
        raise CorpusmithError(
            f"the Prefect server refused: {(lines or ['it did not say why'])[-1]}"
        )


def _deployments(client: "SyncPrefectClient") -> "dict[str, DeploymentResponse]":
    """What the server has of ours, by FLOW/NAME."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    found = client.read_deployments(deployment_filter=ours)
    named = {f"{client.read_flow(each.flow_id).name}/{each.name}": each for each in found}
    return dict(sorted(named.items()))


def _active(deployments: "dict[str, DeploymentResponse]") -> set[tuple[str, str | None]]:
    """The schedules that somebody has switched on."""
    return {
        (name, schedule.slug)
        for name, deployment in deployments.items()
        for schedule in deployment.schedules
        if schedule.active
    }


def _switch_on(client: "SyncPrefectClient", switched_on: set[tuple[str, str | None]]) -> None:
    for name, deployment in _deployments(client).items():
        for schedule in deployment.schedules:
            if schedule.id and (name, schedule.slug) in switched_on:
                client.update_deployment_schedule(deployment.id, schedule.id, active=True)


def _set_paths(client: "SyncPrefectClient", paths: list[str]) -> None:
    """Tell pipelines and refreshes what to read."""
    from prefect.client.schemas.actions import DeploymentUpdate

    for name, deployment in _deployments(client).items():
        if paths and name.startswith(("pipeline/", "refresh/")):
            config = deployment.parameters["config"]
            config["ingest"] = {**config.get("ingest", {}), "paths": paths}
            client.update_deployment(
                deployment.id, DeploymentUpdate(parameters=deployment.parameters)
            )


def _described(name: str, deployment: "DeploymentResponse") -> dict[str, Any]:
    schedules = [
        {"slug": each.slug, "active": each.active, **each.schedule.model_dump(mode="json")}
        for each in deployment.schedules
    ]
    return {"name": name, "pool": deployment.work_pool_name, "schedules": schedules}
