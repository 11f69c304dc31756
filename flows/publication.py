"""The end of a pipeline: whether what it made becomes the release, and the switch."""

from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.config import PipelineConfig
from flows.graph import StageName
from flows.leaving import at_work
from flows.perform import perform_stage
from flows.session import Session
from flows.stages import WORKSPACE, stage_flow
from flows.untagged import untagged
from model.errors import RequestError
from tasks.release.decision import reasons_against
from tasks.release.pointer import Release, current, flaws_of, history, publish, releases
from tasks.release.switches import withdrawn, withdrawn_embedders
from tasks.release.trial.config import TrialConfig
from tasks.release.trial.definition import RELEASED_CORPUS, RELEASED_EMBEDDER, TRIAL
from tasks.release.trial.findings import Trial
from tasks.store.artifact import ArtifactRef

Made = dict[StageName, ArtifactRef]


@dataclass(frozen=True)
class Publication:
    """What became of what a pipeline made.

    Attributes:
        release: the current one, after it.
        before: the current one, before it.
        refused: what the record says of a challenger that was not published; None if it was.
    """

    release: Release
    before: Release | None
    refused: dict[str, Any] | None = None

    @property
    def is_switch(self) -> bool:
        """Whether another release is current than before."""
        return self.before is None or self.before.id != self.release.id


@stage_flow
def trial(
    config: TrialConfig,
    corpus: ArtifactRef,
    embedder: ArtifactRef,
    released_corpus: ArtifactRef,
    released_embedder: ArtifactRef,
    workspace: str = WORKSPACE,
) -> Any:
    """Compare an embedder with the released one on documents that both hold out."""
    inputs = {
        "ingest": corpus,
        "tune": embedder,
        RELEASED_CORPUS: released_corpus,
        RELEASED_EMBEDDER: released_embedder,
    }
    return perform_stage(TRIAL, config, inputs, workspace)


def publish_release(run: Session, made: Made, config: PipelineConfig) -> Publication:
    """Switch the published pointer to this run's embedder and export, if nothing speaks against it.

    The decision is made against what is current; where that moves meanwhile, it is made again.
    """

    @task(name="publish", cache_policy=NO_CACHE, persist_result=False)
    def switch(before: Release | None) -> Release:
        scores = run.outcomes["evaluate"].metrics
        with at_work():
            return publish(
                run.workspace,
                embedder=made["tune"],
                export=made["export"],
                scores=scores,
                expected=before,
            )

    while True:
        before = current(run.workspace)
        reasons = reasons_to_refuse(run, made, config, before)
        if reasons and before:
            return Publication(before, before, _refusal(made, before, reasons))
        try:
            with untagged():
                return Publication(switch(before), before)
        except RequestError:
            now = current(run.workspace)
            if (now and now.id) == (before and before.id):
                raise


def reasons_to_refuse(
    run: Session, made: Made, config: PipelineConfig, before: Release | None
) -> list[str]:
    """Why what was made does not replace the release; empty if it does.

    A first release, a new export of the released embedder, and what takes the place of a release
    that is broken are published without a trial.
    """
    if before is None or config.release.publish == "always":
        return []
    if before.embedder.content_id == made["tune"].content_id:
        reason = _was_withdrawn_table(run, made)
        return [reason] if reason else []
    if config.release.publish == "never":
        return ["release.publish = never: another embedder than the released one is not published"]
    if flaws := _flaws(run, before):
        run.warn(f"{flaws[0]}: it is broken, so it is replaced without a trial")
        return []
    if reason := _was_withdrawn(run, made):
        return [reason]
    if before.corpus is None or not run.store.has(before.corpus):
        return [
            f"the corpus of release {before.id} is gone, so which documents it holds out is not "
            "known: run ingest with its settings, or set release.publish = always"
        ]
    found = _trial(run, made, config, before, before.corpus)
    with untagged():
        return decide(found, config.release.margin)


@task(name="decide", cache_policy=NO_CACHE, persist_result=False)
def decide(found: Trial, margin: float) -> list[str]:
    """Why the challenger is not published; taken anew in every run, whatever was reused."""
    return reasons_against(found, margin)


def _flaws(run: Session, before: Release) -> list[str]:
    """What readers of the release, and the trial, would miss."""
    flaws = flaws_of(run.workspace, before.model_copy(update={"corpus": None}))
    return flaws or run.store.damage_of(before.embedder)


def _was_withdrawn(run: Session, made: Made) -> str | None:
    """People who went back from an embedder do not want it again with the next run."""
    embedders = {each.id: each.embedder.content_id for each in releases(run.workspace)}
    gone = withdrawn_embedders(history(run.workspace), embedders)
    switch = gone.get(made["tune"].content_id)
    if switch is None:
        return None
    return (
        f"release {switch.before} with this embedder was rolled back from on {switch.at}: "
        f"`corpusmith release rollback {switch.before}` or release.publish = always brings it back"
    )


def _was_withdrawn_table(run: Session, made: Made) -> str | None:
    """The same of a table; another one of that embedder is welcome."""
    gone = withdrawn(history(run.workspace))
    for release in releases(run.workspace):
        is_same = (release.embedder, release.export) == (made["tune"], made["export"])
        if is_same and release.id in gone:
            return (
                f"release {release.id} with this table was rolled back from on "
                f"{gone[release.id].at}: `corpusmith release rollback {release.id}` or "
                "release.publish = always brings it back"
            )
    return None


def _trial(
    run: Session, made: Made, config: PipelineConfig, before: Release, corpus: ArtifactRef
) -> Trial:
    reference = trial(
        TrialConfig.like(config.evaluate.model_dump()),
        corpus=made["ingest"],
        embedder=made["tune"],
        released_corpus=corpus,
        released_embedder=before.embedder,
        workspace=run.workspace.location,
    )
    return Trial.read(run.store.folder_of(ArtifactRef.model_validate(reference)))


def _refusal(made: Made, before: Release, reasons: list[str]) -> dict[str, Any]:
    return {
        "against": before.id,
        "reasons": reasons,
        "embedder": made["tune"].model_dump(mode="json"),
        "export": made["export"].model_dump(mode="json"),
        "corpus": made["ingest"].model_dump(mode="json"),
    }
