"""Refreshes a folder that changes 200 times in one process, and sees that nothing piles up.

    python -m tests.operations.soak --folder soak --rounds 200

Documents come and go, as many as there were stay. Most refreshes run in one process that lives on,
as a worker does; some are begun in a process of their own first, which is killed at a random
moment. ``gc`` deletes what is needed no more. After each round it is noted what the process takes,
after each ``gc`` what the workspace does: memory, open files, threads, disk and files must stay
flat. History (records of runs and releases, runs of MLflow and of Prefect) is nothing that ``gc``
deletes: it may grow evenly, and by little. The table of embeddings at the end must be the one that
is made from scratch. The table goes to ``soak.md`` in the folder, every round to ``soak.jsonl``.
"""

import argparse
import dataclasses
import json
import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.flows.chain import QUICK, Chain, plain
from tests.flows.shell import Shell
from tests.operations.changing_folder import ChangingFolder
from tests.operations.flatness import GOOD, Judged, judge_flat, judge_linear
from tests.operations.footprint import Disk, Process
from tests.operations.kills import killed_after
from tests.operations.lines import table, tell
from tests.operations.scratch import is_as_from_scratch

NUM_DOCUMENTS = 400
GC_EVERY = 5
KILLED_EVERY = 4
SHOWN_EVERY = 10
USUAL_S = 20.0
# What a round may add to history: two to three times what was measured, 18 kB of records, 130 kB of
# MLflow's and 200 to 400 kB of Prefect's. A year of nights is a few hundred MB at most.
MAX_RECORDS_BYTES, MAX_TRACKER_BYTES, MAX_PREFECT_BYTES = 50_000, 400_000, 800_000
MAX_RUNS = 8  # one of the flow, one a stage, and those of a try that was killed

# As `deployments/compose.yaml` starts workers. With the C library's usual pools of memory (16 on
# two cores) what is resident went from 800 to 1,000 MB in 175 rounds.
AS_A_WORKER = {"MALLOC_ARENA_MAX": "2"}

FLAT_PROCESS = ("own_bytes", "servers_bytes", "num_fds", "num_threads")
FLAT_DISK = ("kept_bytes", "num_kept_files")
HISTORY = {
    "records_bytes": MAX_RECORDS_BYTES,
    "tracker_bytes": MAX_TRACKER_BYTES,
    "num_runs": MAX_RUNS,
    "prefect_bytes": MAX_PREFECT_BYTES,
}
HEAD = (
    "| round | killed after s | seconds | own MB | mapped MB | servers MB | open files | threads "
    "| workspace MB | files | records MB | MLflow MB | runs | Prefect MB |"
)
VERDICTS_HEAD = "| measure | median | growth over 200 rounds (95 %) | verdict |"


@dataclass(frozen=True)
class Round:
    """One refresh, and what there was after it; the disk is looked at after ``gc`` only."""

    number: int
    killed_after_s: float | None
    seconds: float
    process: Process
    disk: Disk | None

    def line(self) -> str:
        """As the table has it."""
        killed = "" if self.killed_after_s is None else f"{self.killed_after_s:.1f}"
        process, disk = self.process, self.disk
        cells = [str(self.number), killed, f"{self.seconds:.1f}"]
        memory = (process.own_bytes, process.mapped_bytes, process.servers_bytes)
        cells += [f"{size / 1e6:.0f}" for size in memory]
        cells += [str(process.num_fds), str(process.num_threads)]
        if disk is None:
            cells += [""] * 6
        else:
            cells += [f"{disk.kept_bytes / 1e6:.2f}", str(disk.num_kept_files)]
            cells += [f"{disk.records_bytes / 1e6:.2f}", f"{disk.tracker_bytes / 1e6:.2f}"]
            cells += [str(disk.num_runs), f"{disk.prefect_bytes / 1e6:.2f}"]
        return f"| {' | '.join(cells)} |"


class Soak:
    """The rounds.

    Args:
        folder: holds texts, workspace and what is compared; emptied before.
        num_rounds: how many.
        seed: of the documents and the kills.
        gc_every: rounds from one ``gc`` to the next.
    """

    def __init__(self, folder: Path, num_rounds: int, seed: int, gc_every: int) -> None:
        self.folder = folder
        self.num_rounds = num_rounds
        self.gc_every = gc_every
        self.rng = random.Random(seed)
        self.texts = ChangingFolder(folder / "texts", NUM_DOCUMENTS, seed)
        self.alone = Chain(self.texts.folder, folder / "workspace")
        self.rounds: list[Round] = []

    def pass_all(self) -> None:
        """The first run, in a process of its own, then every round."""
        self.alone.answer("run", str(self.texts.folder), *QUICK)
        with Shell(plain() | AS_A_WORKER) as shell:
            chain = dataclasses.replace(self.alone, shell=shell)
            for number in range(1, self.num_rounds + 1):
                self.rounds.append(self.pass_one(number, chain, shell.pid))
                tell(self.rounds[-1].line())

    def pass_one(self, number: int, chain: Chain, pid: int) -> Round:
        """Change, refresh, delete where it is time to, look."""
        self.texts.pass_a_night()
        self.texts.shrink_to(NUM_DOCUMENTS)
        command = ("refresh", str(self.texts.folder), *QUICK)
        killed_after_s = None
        if number % KILLED_EVERY == 0:
            after_s = self.rng.uniform(0.1, 1.0) * USUAL_S
            killed_after_s = None if killed_after(self.alone, command, after_s) else after_s
        began_s = time.monotonic()
        chain.answer(*command)
        seconds = time.monotonic() - began_s
        disk = None
        if number % self.gc_every == 0 or number == self.num_rounds:
            chain.answer("gc", "--yes", "--older-than-days", "0")
            disk = Disk.of(self.alone.workspace)
        return Round(number, killed_after_s, seconds, Process.of(pid), disk)

    def judged(self) -> Iterator[Judged]:
        """Each measure and what is thought of it."""
        numbers = [each.number for each in self.rounds]
        for name in FLAT_PROCESS:
            values = [float(getattr(each.process, name)) for each in self.rounds]
            yield judge_flat(name, numbers, values)
        looked = [(each.number, each.disk) for each in self.rounds if each.disk]
        numbers = [number for number, _ in looked]
        for name in FLAT_DISK:
            values = [float(getattr(disk, name)) for _, disk in looked]
            yield judge_flat(name, numbers, values)
        for name, limit in HISTORY.items():
            values = [float(getattr(disk, name)) for _, disk in looked]
            yield judge_linear(name, numbers, values, limit=limit)


def some(rounds: Sequence[Round]) -> list[str]:
    """The first, every tenth and the last."""
    ends = {1, len(rounds)}
    shown = [each for each in rounds if each.number % SHOWN_EVERY == 0 or each.number in ends]
    return [each.line() for each in shown]


def verdicts(judged: Sequence[Judged]) -> list[str]:
    """What is thought of each measure; growth and its interval are over 200 rounds."""
    lines = []
    for each in judged:
        growth, low, high = each.growth
        is_bytes = each.name.endswith("_bytes")
        scale, unit = (1e6, " MB") if is_bytes else (1.0, "")
        grown = f"{growth / scale:+.2f}{unit} ({low / scale:+.2f} to {high / scale:+.2f})"
        median = f"{each.median / scale:.2f}{unit}"
        lines.append(f"| `{each.name}` | {median} | {grown} | {each.verdict} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Pass the rounds, write the tables; exit status 1 where anything is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="is emptied first")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--gc-every", type=int, default=GC_EVERY)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = options.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    soak = Soak(folder, options.rounds, options.seed, options.gc_every)
    tell(HEAD)
    try:
        soak.pass_all()
    finally:
        judged = list(soak.judged()) if soak.rounds else []
        told = table(HEAD, some(soak.rounds)) + "\n" + table(VERDICTS_HEAD, verdicts(judged))
        (folder / "soak.md").write_text(told, "utf-8")
        every = [json.dumps(dataclasses.asdict(each)) + "\n" for each in soak.rounds]
        (folder / "soak.jsonl").write_text("".join(every), "utf-8")
    is_same = is_as_from_scratch(soak.alone, folder / "scratch")
    bad = [each.name for each in judged if each.verdict not in GOOD]
    tell(table(VERDICTS_HEAD, verdicts(judged)))
    seconds = statistics.median(each.seconds for each in soak.rounds)
    summary = {"rounds": len(soak.rounds), "median_seconds": round(seconds, 1)}
    tell(json.dumps(summary | {"as_from_scratch": is_same, "not_flat": bad}))
    sys.exit(0 if is_same and not bad else 1)


if __name__ == "__main__":
    main()
