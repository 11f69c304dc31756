"""Measures what orchestration and tracking cost beside calling the stages' plain functions.

    python -m tests.benchmarks.overhead --workspace WORKSPACE --config smoke --rounds 3
    python -m tests.benchmarks.overhead --fresh --config smoke --rounds 2 --run-seconds 2400 \\
        --set vocab.vocab_size=512 --set pretrain.max_steps=24 --set tune.max_steps=8

In each round two processes come one after the other, in turns the one first and the other: the
whole chain as the command line runs it, with its own Prefect server and MLflow, and the same stages
called in order with neither. With --workspace all is there already, so that every stage is reused;
with --fresh each process begins with an empty workspace, database and all. Processor seconds are
those of the process and all that it started. A third process then works through updates as training
reports them, to see what a minute of it costs the servers, the sampler and the sender.

--run-seconds is how long the run is whose share is asked for; `plan` tells it. What is told are
medians over the rounds, least and most beside; the load of the machine stands there too.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.config import PipelineConfig, load_config
from tests.benchmarks.children import absolute, python_module, run_child
from tests.flows.chain import plain

TRACKED, UNTRACKED, WATCHED = "tracked", "untracked", "watched"
CHILD = "overhead_child"
SETTLE_S, WATCHED_S = 20.0, 60.0  # servers go on starting for a while after they answer


def main() -> None:
    """Measure, then print a line a figure; all numbers with --json."""
    arguments = parse_arguments()
    for name in os.environ.keys() - plain().keys():
        del os.environ[name]  # servers of the developer's own
    config = configured(arguments.config, arguments.set)
    rounds: dict[str, list[dict[str, Any]]] = {TRACKED: [], UNTRACKED: []}
    for number in range(arguments.rounds):
        order = (TRACKED, UNTRACKED) if number % 2 == 0 else (UNTRACKED, TRACKED)
        for kind in order:
            with tempfile.TemporaryDirectory() as empty:
                place = Path(empty) / "workspace" if arguments.fresh else arguments.workspace
                rounds[kind].append(run_kind(kind, config, place))
    with tempfile.TemporaryDirectory() as empty:
        watched = run_kind(WATCHED, config, Path(empty) / "workspace")
    found = summary(rounds[TRACKED], rounds[UNTRACKED], watched, arguments.run_seconds)
    for name, value in found.items():
        sys.stdout.write(f"{name:42} {value}\n")
    if arguments.json:
        kept = {"summary": found, "rounds": rounds, "watched": watched}
        arguments.json.write_text(json.dumps(kept, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--workspace", type=absolute, help="of a run of this config: all is reused")
    place.add_argument("--fresh", action="store_true", help="run everything, in empty workspaces")
    parser.add_argument("--config", default="smoke")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=JSON")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run-seconds", type=float, default=2400.0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def configured(source: str, changes: Sequence[str]) -> PipelineConfig:
    """The settings of a preset or file with changes such as ``tune.max_steps=8``."""
    overrides: dict[str, dict[str, Any]] = {}
    for change in changes:
        key, value = change.split("=", 1)
        section, name = key.split(".", 1)
        overrides.setdefault(section, {})[name] = json.loads(value)
    return load_config(source, overrides)


def run_kind(kind: str, config: PipelineConfig, workspace: Path) -> dict[str, Any]:
    """What a process of that kind told, with its processor seconds, descendants' included."""
    spent = run_child(python_module(CHILD, kind, workspace, config.model_dump_json()))
    whole = {"wall_s": spent.wall_s, "cpu_s": spent.cpu_s, "load": os.getloadavg()[0]}
    return spent.report | whole


def summary(
    tracked: Sequence[dict[str, Any]],
    untracked: Sequence[dict[str, Any]],
    watched: dict[str, Any],
    run_seconds: float,
) -> dict[str, str]:
    """The figures by name, as text.

    The share takes the processor seconds of both parts as if nothing else could run meanwhile, so
    it is the most that the work is held up.
    """
    fixed = [one["cpu_s"] - other["cpu_s"] for one, other in zip(tracked, untracked, strict=True)]
    per_minute = watched["cpu_s_per_minute"]
    share = (statistics.median(fixed) + per_minute * run_seconds / 60) / run_seconds
    stages = [
        seconds
        for each in tracked
        for name, seconds in each["stage_s"].items()
        if name in each["reused"]
    ]
    figures = {
        "start-up, wall s": told([each["start_s"] for each in tracked]),
        "pipeline, wall s": told([each["pipeline_s"] for each in tracked]),
        "pipeline without either, wall s": told([each["pipeline_s"] for each in untracked]),
        "whole process, wall s": told([each["wall_s"] for each in tracked]),
        "tracked and orchestrated, processor s": told([each["cpu_s"] for each in tracked]),
        "neither, processor s": told([each["cpu_s"] for each in untracked]),
        "difference, processor s": told(fixed),
        "while a stage works, processor s a minute": f"{per_minute:.2f}",
        f"share of a run of {run_seconds:.0f} s": f"{100 * share:.2f} %",
        "load average": told([each["load"] for each in [*tracked, *untracked]]),
    }
    return ({"a reused stage, wall s": told(stages)} if stages else {}) | figures


def told(values: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
