"""One process of `tests.benchmarks.overhead`: ``KIND WORKSPACE CONFIG_AS_JSON``; prints JSON."""

import itertools
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.cli import stdout_for_answer
from flows.config import PipelineConfig
from flows.graph import STAGE_NAMES, load_stage, upstream_of

UPDATES_PER_S = 4
METRICS_OF_AN_UPDATE = ("train_loss", "learning_rate", "grad_norm", "tokens_per_second")

BEGAN_S = time.perf_counter()


class Silent:
    """A reporter that nobody listens to."""

    def metrics(self, values: Mapping[str, float], *, step: int | None = None) -> None: ...

    def progress(self, done: int, total: int, unit: str) -> None: ...

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None: ...

    def example(self, name: str, text: str) -> None: ...

    def message(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...


def untracked(config: PipelineConfig, place: Path) -> dict[str, Any]:
    """The stages one after another, with the store and nothing else."""
    from tasks.execute import execute
    from tasks.stage import map_in_order
    from tasks.store.store import Store
    from tasks.store.workspace import Workspace

    store, made = Store(Workspace.open(str(place))), {}
    began_s = time.perf_counter()
    for name in STAGE_NAMES:
        made[name] = execute(
            load_stage(name),
            getattr(config, name),
            {upstream: made[upstream] for upstream in upstream_of(name, config)},
            store=store,
            report=Silent(),
            map_shards=map_in_order,
        ).ref
    return {"pipeline_s": time.perf_counter() - began_s}


def tracked(config: PipelineConfig, place: Path) -> dict[str, Any]:
    """As ``corpusmith run`` does it; tells when the pipeline began and how long stages took."""
    from flows import launch

    workspace, api = launch._prepare(config, str(place))
    from flows import pipeline

    stage_s: dict[str, float] = {}

    def timed(name: str, flow: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            began_s = time.perf_counter()
            try:
                return flow(*arguments, **named)
            finally:
                stage_s[name] = time.perf_counter() - began_s

        return call

    pipeline.FLOWS.update({name: timed(name, flow) for name, flow in pipeline.FLOWS.items()})
    with launch._ready(api, workspace):
        began_s = time.perf_counter()
        record = pipeline.pipeline(config, workspace=str(workspace.path), until=None)
    over_s = time.perf_counter()
    made = record["artifacts"]
    return {
        "start_s": began_s - BEGAN_S,
        "pipeline_s": over_s - began_s,
        "stage_s": stage_s,
        "reused": [name for name, each in made.items() if each["reused"]],
        "in_stage_s": {name: each["seconds"] for name, each in made.items()},
    }


def watched(config: PipelineConfig, place: Path) -> dict[str, Any]:
    """A flow that only reports, as a training does; processor seconds a minute of it."""
    import psutil

    from flows import launch

    workspace, api = launch._prepare(config, str(place))
    from prefect import flow

    from flows.pages import StagePages
    from flows.reporting import StageReporter
    from flows.session import session

    me = psutil.Process()

    def cpu_s() -> tuple[float, float]:
        """Of this process, and of the servers."""
        times = [each.cpu_times() for each in (me, *me.children(recursive=True))]
        own_s, *servers_s = (float(each.user + each.system) for each in times)
        return own_s, sum(servers_s)

    @flow(name="watched", persist_result=False)
    def work(settle_s: float, watched_s: float) -> list[float]:
        with (
            session(str(workspace.path), experiment="watched", params={}, tags={}) as run,
            run.tracker.stage("pretrain", {}) as track,
            StageReporter(
                "pretrain", track, run.console, None, StagePages("x", run, track)
            ) as told,
        ):
            _ = run.tracker.about  # MLflow has been loaded, and its database made
            steps = itertools.count(1)

            def train(seconds: float) -> None:
                until_s = time.perf_counter() + seconds
                while time.perf_counter() < until_s:
                    step = next(steps)
                    told.metrics(dict.fromkeys(METRICS_OF_AN_UPDATE, float(step)), step=step)
                    told.progress(step, 10_000, "steps")
                    time.sleep(1 / UPDATES_PER_S)

            train(settle_s)
            began_s, began_cpu_s = time.perf_counter(), cpu_s()
            train(watched_s)
            minutes = (time.perf_counter() - began_s) / 60
            spent = zip(cpu_s(), began_cpu_s, strict=True)
            return [(now - before) / minutes for now, before in spent]

    from tests.benchmarks.overhead import SETTLE_S, WATCHED_S

    with launch._ready(api, workspace):
        own_s, servers_s = work(SETTLE_S, WATCHED_S)
    return {"cpu_s_per_minute": own_s + servers_s, "of_them_servers_s": servers_s}


def main() -> None:
    """Do what the command line says."""
    kind, place, text = sys.argv[1:]
    works = {"tracked": tracked, "untracked": untracked, "watched": watched}
    with stdout_for_answer() as stdout:
        told = works[kind](PipelineConfig.model_validate_json(text), Path(place))
        stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
