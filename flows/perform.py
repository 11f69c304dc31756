"""Performs one stage inside its Prefect flow: watched, tracked, and with its shards as tasks."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.clearing import clearing_in_peace
from flows.graph import StageName, load_stage
from flows.leaving import at_work
from flows.links import flow_run_tags
from flows.pages import StagePages
from flows.reporting import StageReporter
from flows.session import PartOf, Session, session
from flows.untagged import untagged
from tasks.execute import Outcome, execute
from tasks.settings import StageConfig
from tasks.stage import Stage
from tasks.store.artifact import ArtifactRef
from tasks.tracking import StageTrack
from tasks.tracking.examples import Examples, remove_sent

TRY_VARIABLE = "CORPUSMITH_TRY"  # set for a run that is begun again after a crash
_CORPUS_STAGE = "ingest"
_DATA_CONTEXT = {
    "probe": "evaluation",
    "evaluate": "evaluation",
    "drift": "evaluation",
    "export": "embedded",
}

Item = TypeVar("Item")
Result = TypeVar("Result")


def perform(
    name: StageName,
    config: StageConfig,
    inputs: Mapping[str, ArtifactRef],
    workspace: str,
    part_of: PartOf | None = None,
) -> Any:
    """Run the stage of that name, or find that it has run; returns as `perform_stage`."""
    return perform_stage(load_stage(name), config, inputs, workspace, part_of)


@clearing_in_peace()
def perform_stage(
    stage: Stage,
    config: StageConfig,
    inputs: Mapping[str, ArtifactRef],
    workspace: str,
    part_of: PartOf | None = None,
) -> Any:
    """Run a stage, or find that it has run.

    Returns:
        The artifact's reference; as a Prefect state named "Reused" where nothing had to be done.
    """
    name, params = stage.name, config.model_dump(mode="json")
    tags = flow_run_tags()
    with session(
        workspace,
        experiment=part_of.experiment if part_of else "corpusmith",
        params={name: params},
        tags=tags | (part_of.tags if part_of else {}),
        may_quote=bool(part_of and part_of.may_quote),
        has_begun=bool(inputs),
        flow=name,
    ) as run:
        with run.tracker.stage(name, params) as track:
            for key, value in tags.items():
                track.tag(key, value)
            examples = _examples(run, track)
            with StagePages(name, run, track) as pages:
                with (
                    StageReporter(name, track, run.console, examples, pages) as report,
                    _stopping_others(run),
                    at_work(),
                ):
                    outcome = execute(
                        stage,
                        config,
                        inputs,
                        store=run.store,
                        report=report,
                        map_shards=map_as_tasks,
                        remote=run.remote,
                    )
                _record(stage, outcome, run, track)
                pages.finish(outcome)
        run.links.make_known()
        if outcome.reused:
            return Completed(name="Reused", message=outcome.ref.path, data=outcome.ref)
        return outcome.ref


def map_as_tasks(
    function: Callable[[Item], Result], shards: Sequence[Item], *, name: str
) -> list[Result]:
    """Each shard as a Prefect task, as many at a time as there are processors.

    Results stay in memory: they are small, and what matters is in the staging folder.
    """

    @task(
        name=name,
        task_run_name=name + "-{index:05d}",
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def run_shard(index: int) -> Result:
        return function(shards[index])

    with untagged():
        futures = [run_shard.submit(index) for index in range(len(shards))]
        return [future.result() for future in futures]


@contextlib.contextmanager
def _stopping_others(run: Session) -> Iterator[None]:
    """Whatever ends the stage early also ends the shards that other processes are at: Prefect
    waits for the threads that wait for them."""
    try:
        yield
    except BaseException:
        if run.remote:
            run.remote.abandon()
        raise


def run_name() -> str:
    """What Prefect calls a flow run: the flow, and the workspace it works for.

    Then, after a comma, what the automations go by: the pipeline it is part of on another worker,
    or which try this is.
    """
    place = Path(flow_run.parameters.get("workspace", "workspace")).name.replace(",", "")
    name = f"{flow_run.flow_name}-{place}"
    if part_of := flow_run.parameters.get("part_of"):
        return f"{name}, part of {PartOf.model_validate(part_of).run_id}"
    number = os.environ.get(TRY_VARIABLE)
    return f"{name}, try {number}" if number else name


def _examples(run: Session, track: StageTrack) -> Examples | None:
    """Who takes text of documents while the stage runs; nobody unless the user allows it."""
    remove_sent(run.workspace.state)
    return Examples(run.workspace.state, run.run_id, track) if run.may_quote else None


def _record(stage: Stage, outcome: Outcome, run: Session, track: StageTrack) -> None:
    run.outcomes[stage.name] = outcome
    track.tag("corpusmith.reused", str(outcome.reused).lower())
    track.tag("corpusmith.content_id", outcome.ref.content_id)
    track.metrics(outcome.metrics)
    folder = run.workspace.path / outcome.ref.path
    _name_data(stage, outcome, run, track)
    if not outcome.reused:
        quoting = stage.quoting_files if run.may_quote else ()
        for file in (*stage.tracked_files, *quoting):
            if (folder / file).exists():  # some settings leave a file out
                track.artifact(folder / file, None)


def _name_data(stage: Stage, outcome: Outcome, run: Session, track: StageTrack) -> None:
    """Name the data the stage read or made, so that runs of the same data find each other."""
    made, corpus = outcome.ref, run.outcomes.get(_CORPUS_STAGE)
    if corpus:
        context = _DATA_CONTEXT.get(stage.name, "training")
        is_new = stage.name == _CORPUS_STAGE
        track.dataset(
            "corpus",
            corpus.ref.content_id,
            corpus.ref.path,
            context,
            profile=corpus.metrics,
            of_parent=is_new,
        )
    if stage.name == "export":
        track.dataset(
            "embeddings", made.content_id, made.path, "published", profile=outcome.metrics
        )
