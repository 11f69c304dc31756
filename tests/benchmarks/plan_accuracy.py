"""Holds what `plan` predicts for a run against what the run took.

    python -m tests.benchmarks.plan_accuracy --after WORKSPACE --of OTHER --json accuracy.json

The records of --after are all that the prediction knows; the stages of --of are what it is for. Of
these the settings and the amounts are taken (what ingest and tokenize have counted), the seconds
are what the prediction is held against. Both must have been made on this machine, and under the
same load if the ratio is to say something of the model.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from flows.cost import cost_of
from flows.graph import STAGE_NAMES
from flows.past_runs import PastRuns, past_runs
from flows.speed import Speed, usual_speed
from tasks.store.store import Store
from tasks.store.workspace import Workspace

LINE = "{stage:9} {predicted_s:8.1f} {measured_s:8.1f} {ratio:6.2f}  {rests_on}\n"


def main() -> None:
    """Print a line a stage: seconds predicted and measured, their ratio, what it rests on."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--after", type=Path, required=True, help="workspace of earlier runs")
    parser.add_argument("--of", type=Path, required=True, help="workspace of the run to predict")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    known, truth = (
        past_runs(Store(Workspace.at(str(each)))) for each in (arguments.after, arguments.of)
    )
    rows = compared(known, truth, usual_speed())
    for row in [*rows, totals(rows)]:
        sys.stdout.write(LINE.format(**row))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def compared(known: PastRuns, truth: PastRuns, speed: Speed) -> list[dict[str, Any]]:
    """Every stage of `truth`, in the order in which stages run, beside its prediction."""
    rows = []
    for each in sorted(truth.stages, key=lambda past: STAGE_NAMES.index(past.stage)):
        cost = cost_of(each.stage, each.config, each.amounts, speed, done_frac=each.done_frac)
        predicted = known.calibrate(each.stage, cost, speed)
        rows.append(
            {
                "stage": each.stage,
                "modelled_s": cost.seconds,
                "predicted_s": predicted.seconds,
                "measured_s": each.seconds,
                "ratio": predicted.seconds / each.seconds,
                "rests_on": predicted.rests_on,
            }
        )
    return rows


def totals(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums, as a row of their own."""
    sums = {name: sum(row[name] for row in rows) for name in ("predicted_s", "measured_s")}
    return {
        "stage": "all",
        **sums,
        "ratio": sums["predicted_s"] / sums["measured_s"],
        "rests_on": "",
    }


if __name__ == "__main__":
    main()
