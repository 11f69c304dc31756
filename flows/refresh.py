"""The nightly flow: new documents are taken in, compared, embedded and published; none is trained.

ingest -> export with the released embedder -> drift -> release
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Cancelled

from flows import stages
from flows.announce import announce, announce_refusal
from flows.clearing import clearing_in_peace
from flows.config import PipelineConfig
from flows.drift_history import acknowledged, begun_and_not_ended, raised
from flows.elsewhere import refuse_undeployed
from flows.graph import StageName
from flows.harmless import harmless
from flows.leaving import at_work
from flows.notify import tell_of_drift, tell_of_failure, tell_of_refusal, tell_of_release
from flows.perform import perform_stage, run_name
from flows.pipeline import describe, pipeline, run_of_stages, run_stage
from flows.proposal import propose
from flows.registration import follow
from flows.released import Released, place_to_read
from flows.session import Session, refuse_unshared
from flows.twin import older_twin
from flows.untagged import untagged
from model.errors import CorpusmithError, RequestError
from tasks.drift.config import DriftConfig
from tasks.drift.definition import ANSWER, DRIFT, LEARNED, NEW, SINCE
from tasks.ingest.stage import INGEST
from tasks.release.pointer import Release, current, history, publish, releases
from tasks.release.switches import withdrawn
from tasks.store.artifact import ArtifactRef
from tasks.store.identity import explain_difference
from tasks.store.run_records import REFRESH, compared_corpus
from tasks.store.store import Store
from tasks.store.workspace import Workspace

Told = dict[str, Any]


@flow(
    flow_run_name=run_name,
    persist_result=True,
    result_serializer="json",
    on_failure=[tell_of_failure],
    on_crashed=[tell_of_failure],
)
def refresh(config: PipelineConfig, workspace: str = stages.WORKSPACE) -> dict[str, Any]:
    """Take in what is new, embed it with the released embedder, and publish; watch for drift.

    Returns:
        The run's record as of a pipeline, with the release, the drift and what is proposed, and
        as ``published`` the path that readers use, None where this run published nothing; or a
        Prefect state where another run does the same.

    Raises:
        RequestError: nothing is published yet, or another refresh of the workspace is going on.
    """
    if twin := older_twin():
        return cast(dict[str, Any], Cancelled(message=f"the run {twin} does the same"))
    refuse_undeployed(config.workers, ["export"])
    refuse_unshared(workspace)
    store = Store(Workspace.open_existing(workspace))
    _refuse_builtin(config, store, Released.of(store))
    with clearing_in_peace(), store.sole_lease(REFRESH):
        record = _refresh(config, workspace, str(flow_run.id))
    if record["proposal"] and record["proposal"]["started"]:
        trained = pipeline(config, workspace)
        record["proposal"]["run_id"] = trained["run_id"]
    return record


@stages.stage_flow
def drift(
    config: DriftConfig, inputs: dict[str, ArtifactRef], workspace: str = stages.WORKSPACE
) -> Any:
    """Compare new documents with those the embedder was examined on."""
    return perform_stage(DRIFT, config, inputs, workspace)


def _refresh(config: PipelineConfig, workspace: str, flow_run_id: str) -> dict[str, Any]:
    """One run, whose record says what became of the night."""
    with run_of_stages(config, workspace, flow=REFRESH) as run:
        base = Released.of(run.store)
        corpus = run_stage("ingest", config, {}, run, workspace)
        if _is_current(corpus, base, config, run.store):
            told = _nothing_new(base.release, config, run)
        else:
            told = _take_in(corpus, base, config, run, workspace)
        record = describe(run, flow_run_id) | told
        run.record |= record
        return record


def _is_current(corpus: ArtifactRef, base: Released, config: PipelineConfig, store: Store) -> bool:
    """Whether the release is of this corpus, in the form that is asked for."""
    published = base.release.export
    if corpus.content_id != base.corpus.content_id or not store.has(published):
        return False
    made = store.get(published.stage, published.input_id).manifest.identity
    return made.settings == config.export.identity()


def _nothing_new(release: Release, config: PipelineConfig, run: Session) -> Told:
    """What a night tells that brings nothing."""
    says = f"nothing is new: release {release.id} has these documents"
    quiet = {"alarm": False, "says": says, "measures": [], "raised": [], "quiet_since": None}
    told = {"drift": quiet, "proposal": _proposal([], config, run)}
    _tell(told, config, run)
    return told | {"release": release.model_dump(mode="json"), "published": None}


def _take_in(
    corpus: ArtifactRef, base: Released, config: PipelineConfig, run: Session, workspace: str
) -> Told:
    """Embed, compare, tell, and publish last: whoever is killed before has published nothing."""
    _warn_of_settings(corpus, base, run)
    inputs: dict[StageName, ArtifactRef] = {
        "ingest": corpus,
        "vocab": base.vocabulary,
        "tune": base.release.embedder,
    }
    export = run_stage("export", config, inputs, run, workspace)
    read: dict[str, ArtifactRef] = {
        NEW: corpus,
        "vocab": base.vocabulary,
        "tune": base.release.embedder,
        SINCE: _compared_before(base, run),
        LEARNED: base.learned,
        "pretrain": base.encoder,
        "export": export,
    }
    drift(config.drift, read, workspace=workspace)
    told = _judge(config, run)
    run.record |= told
    run.note()
    _tell(told, config, run)
    return told | _publish(base.release, export, config, run)


def _compared_before(base: Released, run: Session) -> ArtifactRef:
    """The corpus whose documents need no comparison: they were compared, or there at the training.

    Not simply the release's: where few documents come each night, none would ever be enough.
    """
    compared = compared_corpus(run.workspace.runs())
    return compared if compared and run.store.has(compared) else base.learned


def _judge(config: PipelineConfig, run: Session) -> Told:
    """The drift, and what is proposed where it is news."""
    answer = run.store.folder_of(run.outcomes[DRIFT.name].ref) / ANSWER
    found: Told = json.loads(answer.read_text("utf-8"))
    known = acknowledged(run.workspace.runs())
    names = raised(found["measures"], known["measures"] if known else {})
    quiet_since = known["run_id"] if known and found["alarm"] and not names else None
    reasons = [_reason(row) for row in found["measures"] if row["measure"] in names]
    return {
        "drift": found | {"raised": names, "quiet_since": quiet_since},
        "proposal": _proposal(reasons, config, run),
    }


def _proposal(reasons: Sequence[str], config: PipelineConfig, run: Session) -> Told | None:
    """Of tonight's reasons, or else of those of a whole chain that was begun and has not ended,
    which is gone on with as far as the budget goes; None where there are neither."""
    records = run.workspace.runs()
    begun = begun_and_not_ended(records)
    reasons = reasons or (begun["reasons"] if begun else [])
    if not reasons:
        return None
    location = run.workspace.location
    return propose(reasons, config, location, records, goes_on=begun is not None)


def _reason(row: Mapping[str, Any]) -> str:
    sides = "" if row["new"] is None else f" ({row['reference']:.4g} before, {row['new']:.4g} now)"
    return f"{row['measure']} {row['value']:+.4g}, threshold {row['threshold']:.4g}{sides}"


def _tell(told: Told, config: PipelineConfig, run: Session) -> None:
    """To the terminal, MLflow, and where training is proposed to Prefect's page and by message."""
    found, proposal = told["drift"], told["proposal"]
    run.tracker.tag("corpusmith.drift", found["says"])
    run.tracker.tag("corpusmith.proposal", json.dumps(proposal))
    if not proposal:
        since = found["quiet_since"]
        known = f"; known since run {since}, whose embedder was no better" if since else ""
        run.console.say(f"{found['says']}{known}")
        return
    for line in proposal_lines(told):
        run.warn(line)
    with harmless("the proposal could not be shown in Prefect", run.warn):
        create_markdown_artifact("\n\n".join(proposal_lines(told)), key="drift-proposal")
    tell_of_drift(config.notify.block, run, proposal_lines(told))


def proposal_lines(told: Told) -> list[str]:
    """What a person is told: that there is drift, the measures, and what becomes of it."""
    proposal = told["proposal"]
    ending = "the whole chain is started"
    if not proposal["started"]:
        ending = f"a whole chain is proposed and not started: {proposal['refused']}"
    return [told["drift"]["says"], *proposal["reasons"], ending]


def _publish(before: Release, export: ArtifactRef, config: PipelineConfig, run: Session) -> Told:
    """Switch to the new table, as one task, and let everybody know what became of it."""
    reasons: list[str] = []

    @task(name="publish", cache_policy=NO_CACHE, persist_result=False)
    def switch() -> Release:
        with at_work():
            return publish_table(run.workspace, before, export, reasons.append)

    with untagged():
        release = switch()
    follow(run, release)
    told: Told = {"release": release.model_dump(mode="json"), "published": None}
    if reasons:
        told["refused"] = _refusal(before, export, reasons)
        run.warn(f"not published, release {before.id} stays: {'; '.join(reasons)}")
        announce_refusal(run.workspace, before, told["refused"], run.warn)
        tell_of_refusal(config.notify.block, run, told["refused"])
    elif release.id != before.id:
        told["published"] = place_to_read(run.workspace, release)
        announce(run.workspace, release, "published", before.id, run.warn)
        tell_of_release(config.notify.block, run, release)
    return told


def _refusal(before: Release, export: ArtifactRef, reasons: list[str]) -> Told:
    """As the record of a whole chain has it, whose challenger was refused."""
    embedder, table = (ref.model_dump(mode="json") for ref in (before.embedder, export))
    return {"against": before.id, "reasons": reasons, "embedder": embedder, "export": table}


def publish_table(
    workspace: Workspace, before: Release, export: ArtifactRef, refuse: Callable[[str], None]
) -> Release:
    """Switch to a new table of the current release's embedder; people who went back from that very
    table do not want it again with the next night.

    Args:
        workspace: whose pointer moves.
        before: the current release, which the decision is made against.
        export: the new table.
        refuse: told why, where it is not published.

    Returns:
        The current release.

    Raises:
        CorpusmithError: another release has become current meanwhile.
    """
    gone = withdrawn(history(workspace))
    for release in releases(workspace):
        is_same = (release.embedder, release.export) == (before.embedder, export)
        if is_same and release.id in gone:
            refuse(
                f"release {release.id} with this table was rolled back from: "
                f"`corpusmith release rollback {release.id}` brings it back"
            )
            return before
    scores, embedder = before.scores, before.embedder
    try:
        return publish(workspace, embedder=embedder, export=export, scores=scores, expected=before)
    except RequestError as error:
        now = current(workspace)
        if now is None or now.id == before.id:
            raise
        raise CorpusmithError(
            f"release {now.id} became current meanwhile: run refresh again; what was embedded is "
            "kept"
        ) from error


def _refuse_builtin(config: PipelineConfig, store: Store, base: Released) -> None:
    """Who leaves the paths out would have Python's documentation in place of all documents."""
    if config.ingest.paths or not INGEST.sources:
        return
    corpus = store.get(base.corpus.stage, base.corpus.input_id)
    known = {name for name, _ in corpus.manifest.identity.sources or []}
    if known.isdisjoint(name for name, _ in INGEST.sources(config.ingest)):
        raise RequestError(
            f"refresh: no PATHS are given, and release {base.release.id} is of other files than "
            "the built-in corpus: name the files or folders that it was made of"
        )


def _warn_of_settings(corpus: ArtifactRef, base: Released, run: Session) -> None:
    """Other settings of ingest make other documents out of the same files."""
    new, old = (
        run.store.get(ref.stage, ref.input_id).manifest.identity for ref in (corpus, base.corpus)
    )
    same_files = old.model_copy(update={"sources": new.sources, "inputs": new.inputs})
    if changes := explain_difference(same_files, new):
        run.warn(f"other settings than the release's: {'; '.join(changes)}")
