"""The forecast as Prefect flows: the chain on parts of the training text, then what follows."""

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from prefect import flow, tags
from prefect.runtime import flow_run

from flows import stages
from flows.clearing import clearing_in_peace
from flows.config import PipelineConfig
from flows.graph import StageName
from flows.links import flow_run_tags
from flows.perform import perform_stage, run_name
from flows.pipeline import describe, pipeline
from flows.session import Session, session
from flows.terminal import Terminal
from model.errors import CorpusError
from tasks.forecast.config import SHARES, ForecastConfig
from tasks.forecast.stage import ANSWER, FORECAST, REPORT, TABLE
from tasks.store.artifact import ArtifactRef

_EVALUATE: StageName = "evaluate"


@flow(flow_run_name=run_name, persist_result=True, result_serializer="json")
def plan_forecast(config: PipelineConfig, workspace: str = stages.WORKSPACE) -> dict[str, Any]:
    """Run the chain up to evaluate on each share of the training text, and foretell the rest.

    Each is a run of its own; what has been made before is reused, so that a second forecast costs
    nothing.

    Returns:
        The record of the forecast's run, the runs behind it, and the forecast's own answer.

    Raises:
        CorpusError: a share is too small to learn from.
    """
    runs = [_run_share(config, share, workspace) for share in SHARES.values()]
    evaluations = {
        name: _reference(run["artifacts"]) for name, run in zip(SHARES, runs, strict=True)
    }
    settings = ForecastConfig(
        num_resamples=config.evaluate.num_resamples, seed=config.evaluate.seed
    )
    flow_run_id = str(flow_run.id)
    with (
        clearing_in_peace(),
        session(
            workspace,
            experiment=config.tracking.experiment,
            params=config.model_dump(mode="json"),
            tags=flow_run_tags(),
            flow="forecast",
        ) as run,
    ):
        with tags("corpusmith", run.run_id):
            forecast(settings, evaluations, workspace=workspace)
        record = describe(run, flow_run_id)
        run.record |= record
        return record | {"runs": runs} | _told(run)


@stages.stage_flow
def forecast(
    config: ForecastConfig,
    evaluations: dict[str, ArtifactRef],
    workspace: str = stages.WORKSPACE,
) -> Any:
    """Foretell scores on the whole text from those on parts of it."""
    return perform_stage(FORECAST, config, evaluations, workspace)


def at_share(config: PipelineConfig, share: float) -> PipelineConfig:
    """The same settings, with a share of the training documents that they would keep."""
    train_frac = config.ingest.train_frac * share
    ingest = config.ingest.model_copy(update={"train_frac": train_frac})
    return config.model_copy(update={"ingest": ingest})


def _run_share(config: PipelineConfig, share: float, workspace: str) -> dict[str, Any]:
    named = f"{Fraction(share)} of the training text"
    Terminal(stderr=True).say(f"forecast: {named}")
    try:
        record: dict[str, Any] = pipeline(at_share(config, share), workspace, until=_EVALUATE)
    except CorpusError as error:
        raise CorpusError(
            f"plan --forecast, on {named}: {error}; where that is too little to learn from, add "
            "documents, or `run` on all of them without a forecast"
        ) from error
    return {"share": share} | record


def _reference(artifacts: Mapping[str, Any]) -> ArtifactRef:
    names = ("input_id", "content_id", "path")
    made = {name: artifacts[_EVALUATE][name] for name in names}
    return ArtifactRef(stage=_EVALUATE, **made)


def _told(run: Session) -> dict[str, Any]:
    folder = run.store.folder_of(run.outcomes[FORECAST.name].ref)
    told: dict[str, Any] = json.loads((folder / ANSWER).read_text("utf-8"))
    return told | {"table": str(folder / TABLE), "report": str(folder / REPORT)}
