"""Compares encoders of one attention head with those of many, equal in width, size and work.

    python -m tests.benchmarks.pretrain_heads --workspace WORKSPACE --heads 1 2 6 --seeds 0 1 \\
        --steps 300 --runs runs --json heads.json

Each run is the stage's own, from batches to validation; settings of the stage are given as
KEY=VALUE. Runs are kept in the folder --runs and not repeated, as in pretrain_loss.py: a
comparison may take several sittings. What is told is the loss on the same masked validation
tokens, the median over the seeds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tasks.pretrain.config import PretrainConfig
from tests.benchmarks.children import absolute
from tests.benchmarks.ingest_speed import machine
from tests.benchmarks.pretrain_inputs import add_inputs, find_inputs
from tests.benchmarks.pretrain_loss import kept, key_of
from tests.benchmarks.pretrain_speed import SIZE, merged, ours_command

Report = dict[str, Any]
INITIAL = get_args(PretrainConfig.model_fields["initial_heads"].annotation)


@dataclass(frozen=True)
class Kind:
    """One row of the table.

    Attributes:
        num_heads: of each layer.
        initial_heads: where they look at the beginning.
        reports: what the runs said, one a seed.
    """

    num_heads: int
    initial_heads: str
    reports: tuple[Report, ...]

    @property
    def loss(self) -> float:
        """Nats a masked token at the end, the median over the seeds."""
        return statistics.median(each["validations"][-1]["loss"] for each in self.reports)

    @property
    def spread(self) -> float:
        """Between the best and the worst seed, in nats."""
        losses = [each["validations"][-1]["loss"] for each in self.reports]
        return max(losses) - min(losses)

    @property
    def tokens_per_cpu_s(self) -> float:
        """Real tokens a second of processor time, the median over all updates."""
        return statistics.median(
            tokens / seconds
            for each in self.reports
            for tokens, seconds in zip(each["num_tokens"], each["cpu_s"], strict=True)
        )


def main() -> None:
    """Do the runs that are not there, then print the table; all reports with --json."""
    arguments = parse_arguments()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    kinds = [
        Kind(heads, initial, tuple(reports(heads, initial, arguments)))
        for initial in arguments.initial
        for heads in arguments.heads
    ]
    title = f"{machine()}; {' '.join(arguments.settings)}; {arguments.steps} updates"
    sys.stdout.write("\n".join([title, *table(kinds)]) + "\n")
    if arguments.json:
        text = json.dumps({"machine": machine(), "kinds": list(map(vars, kinds))}, indent=1)
        arguments.json.write_text(text + "\n", "utf-8")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="of stage pretrain")
    add_inputs(parser)
    parser.add_argument("--heads", type=int, nargs="+", default=[1, 2, 6])
    parser.add_argument("--initial", nargs="+", choices=INITIAL, default=list(INITIAL))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=absolute, required=True, help="a folder for the reports")
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    arguments = parser.parse_args()
    find_inputs(parser, arguments)
    arguments.settings = merged([SIZE, *arguments.settings])
    return arguments


def reports(heads: int, initial: str, arguments: argparse.Namespace) -> Iterator[Report]:
    """What the runs of one kind say, seed after seed."""
    for seed in arguments.seeds:
        settings = [
            *arguments.settings,
            f"num_heads={heads}",
            f"initial_heads={initial}",
            f"seed={seed}",
            f"max_steps={arguments.steps}",
        ]
        key = f"heads-{heads}-{initial}-{seed}-{key_of(settings, arguments)}"
        yield kept(key, ours_command(settings, arguments), arguments)


def table(kinds: Sequence[Kind]) -> list[str]:
    """A line a kind, in Markdown."""
    lines = [
        "| heads | at the beginning | loss | between seeds | tokens/CPU s |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {kind.num_heads} | {kind.initial_heads} | {kind.loss:.3f} | {kind.spread:.3f} | "
        f"{kind.tokens_per_cpu_s:,.0f} |"
        for kind in kinds
    ]
    return lines


if __name__ == "__main__":
    main()
