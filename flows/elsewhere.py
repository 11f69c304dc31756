"""Stages that other workers run: sent to their work pool, waited for, cancelled with the pipeline.

Files travel through the workspace, which all workers see; Prefect carries settings and references.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound

from flows.config import INLINE, PipelineConfig, WorkersConfig
from flows.errand import NUM_TRIES, POLL_S, Errand, run_errand
from flows.failure import failure_of
from flows.graph import ARTIFACT, StageName, load_stage
from flows.session import PartOf, Session
from model import errors
from model.errors import ArtifactError, CorpusmithError, RequestError
from tasks.execute import identify
from tasks.redaction import without_password
from tasks.settings import StageConfig
from tasks.store.artifact import ArtifactRef, artifact_path
from tasks.store.identity import Identity

GPU_STAGES: tuple[StageName, ...] = ("pretrain", "tune", "export")
SEEN_S = 90.0  # NFS keeps what it knows of a folder for up to a minute


def sent_stages(workers: WorkersConfig, stages: Sequence[StageName]) -> list[StageName]:
    """Those of the stages that are run by workers of another pool."""
    if workers.gpu_stages == INLINE:
        return []
    return [name for name in stages if name in GPU_STAGES]


def refuse_undeployed(workers: WorkersConfig, stages: Sequence[StageName]) -> None:
    """See that each stage can be sent, before anything runs.

    Raises:
        RequestError: Prefect's API has no deployment of it for the pool.
    """
    sent = sent_stages(workers, stages)
    if not sent:
        return
    with get_client(sync_client=True) as client:
        for name in sent:
            deployment = f"{name}/{workers.gpu_stages}"
            try:
                client.read_deployment_by_name(deployment)
            except ObjectNotFound:
                raise RequestError(
                    f"workers.gpu_stages = {workers.gpu_stages}: the Prefect API at "
                    f"{without_password(str(client.api_url))} has no deployment {deployment}: "
                    f"`corpusmith deploy` makes those of the pool gpu; else set it to {INLINE}"
                ) from None


def make_elsewhere(
    name: StageName,
    config: PipelineConfig,
    inputs: Mapping[StageName, ArtifactRef],
    run: Session,
    location: str,
) -> bool:
    """Let a worker of the pool make a stage's artifact, unless it is in the workspace already.

    A run whose worker died is sent again, a few times. What ends this process in any way that it
    can notice (an error, SIGTERM, Prefect's cancellation) cancels the stage's run too.

    Args:
        name: the stage.
        config: all settings; `workers` says which pool, and how long to wait until one of its
            workers has begun.
        inputs: what it reads, by stage.
        run: the pipeline's.
        location: of the workspace, as the pipeline was told.

    Returns:
        Whether there was anything to make.

    Raises:
        CorpusmithError: nobody began in time; or the run failed, with its own line; or its
            artifact is not in this workspace.
    """
    settings: StageConfig = getattr(config, name)
    read: dict[str, ArtifactRef] = {str(upstream): ref for upstream, ref in inputs.items()}
    upstream_ids = {upstream: ref.input_id for upstream, ref in read.items()}
    identity = identify(load_stage(name), settings, upstream_ids)
    if run.store.find(identity, read):
        return False
    as_told = run.workspace.bucket or Path(location).expanduser().is_absolute()
    parameters = {
        "config": settings.model_dump(mode="json"),
        **{ARTIFACT[upstream]: ref.model_dump(mode="json") for upstream, ref in inputs.items()},
        "workspace": location if as_told else run.workspace.location,
        "part_of": _part_of(run).model_dump(mode="json"),
    }
    tags = frozenset({"corpusmith", run.run_id})
    request = f"{name}-{identity.input_id}"
    state = run_errand(Errand(name, request, parameters, config.workers, tags, run.warn))
    if not state.is_completed():
        raise CorpusmithError(_line(name, state, config.workers))
    _wait_until_seen(identity, read, run)
    return True


def _part_of(run: Session) -> PartOf:
    about = run.tracker.about
    return PartOf(
        run_id=run.run_id,
        experiment=str(about["experiment"]),
        mlflow_run_id=about["run_id"],
        may_quote=run.may_quote,
    )


def _wait_until_seen(identity: Identity, inputs: Mapping[str, ArtifactRef], run: Session) -> None:
    """A shared file system may show the work of another machine a little later."""
    deadline_s = time.monotonic() + SEEN_S
    while not run.store.find(identity, inputs):
        if time.monotonic() > deadline_s:
            place = f"{run.workspace.location}/{artifact_path(identity.stage, identity.input_id)}"
            raise ArtifactError(
                f"{identity.stage}: a worker has made it, but {place} is not there: all workers "
                "must see one workspace at the same place"
            )
        time.sleep(POLL_S)


def _line(name: StageName, state: State, workers: WorkersConfig) -> str:
    """Why it did not complete, as its own run says it."""
    if state.is_cancelled():
        return f"{name}: its run in the pool {workers.gpu_stages} was cancelled: run it again"
    if state.is_crashed():
        said = (state.message or "its worker died").split("\n", 1)[0].rstrip(".")
        return (
            f"{name}: its run in the pool {workers.gpu_stages} crashed {NUM_TRIES} times, at last: "
            f"{said}: see to the memory and the logs of its workers, then run again: it goes on "
            "from its last checkpoint"
        )
    failure = failure_of(state)
    is_ours = failure.kind is None or hasattr(errors, failure.kind)
    said = failure.line if is_ours else f"{failure.kind}: {failure.line}"
    return f"in the pool {workers.gpu_stages}: {said}"
