"""Measures how fast an encoder is trained, beside transformers' Trainer as run_mlm.py uses it.

    python -m tests.benchmarks.pretrain_speed --workspace WORKSPACE \\
        --peer-python PEER/bin/python --json speed.json
    python -m tests.benchmarks.pretrain_speed --workspace WORKSPACE \\
        --peer-python PEER/bin/python --ours micro_rows=8 --ours mask_frac=0.3 --rounds 3

The workspace holds the artifacts of tokenize and vocab; `corpusmith run` makes them, for example
with --tokenize.row-tokens 256. The peer wants an environment of its own: `pip install
torch==2.13.0 transformers==5.23.0 accelerate datasets`.

Systems take turns, one process at a time, in every round; all begin from the same weights and see
the same text in the same number of threads, with the same share of it masked. Before anything is
timed, all must find the same loss on the same masked pieces. Each --ours adds a row with settings
of the stage on top of the positional ones. See pretrain_peer.py for the two forms of the peer.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.children import Spent, python_module, run_child
from tests.benchmarks.ingest_speed import machine
from tests.benchmarks.pretrain_inputs import add_inputs, add_systems, find_inputs
from tests.benchmarks.pretrain_table import (
    DEFAULT,
    OURS,
    TUNED,
    Row,
    as_json,
    gate_faults,
    ratios,
    table,
)

# Options of pretrain_peer.py by the system's name.
PEERS: dict[str, list[str]] = {
    DEFAULT: ["default"],
    TUNED: ["tuned"],
    f"{TUNED}, fp32": ["tuned", "--fp32"],
    f"{TUNED}, compiled": ["tuned", "--compile"],
}
SIZE = "size=small"
USUAL = [OURS, DEFAULT, TUNED]


def main() -> None:
    """Run all rounds, then print the table, and all numbers with --json."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="pretrain-speed-") as name:
        rows = open_rows(Path(name), arguments)
        for number in range(arguments.rounds):
            for row in rows:
                row.rounds.append(run_once(row.system, Path(name), arguments))
                sys.stderr.write(progress_line(number, row, rows) + "\n")
    if faults := gate_faults(rows):
        raise SystemExit("\n".join(faults))
    found = {"machine": machine(), **asked_for(arguments)}
    sys.stdout.write("\n".join([title(found), *table(rows)]) + "\n")
    if arguments.json:
        text = json.dumps({**found, "rows": as_json(rows)}, indent=1)
        arguments.json.write_text(text + "\n", "utf-8")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_inputs(parser)
    add_systems(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="timed updates of a process")
    parser.add_argument("--discard-steps", type=int, default=3, help="updates before those")
    parser.add_argument(
        "--ours", action="append", default=[], metavar="KEY=VALUE[,KEY=VALUE]", help="a further row"
    )
    parser.add_argument(
        "--systems", nargs="+", choices=[OURS, *PEERS], metavar="NAME",
        help=f"{', '.join([OURS, *PEERS])}; the first three if there is a --peer-python",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    arguments = parser.parse_args()
    find_inputs(parser, arguments)
    arguments.settings = merged([SIZE, *arguments.settings])
    if arguments.systems is None:
        arguments.systems = USUAL if arguments.peer_python else [OURS]
    if (arguments.tuned or set(arguments.systems) & set(PEERS)) and not arguments.peer_python:
        parser.error("peers need --peer-python, an interpreter that has them")
    arguments.systems += [f"{TUNED}, {options}" for options in arguments.tuned]
    return arguments


def asked_for(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is the same for all rows."""
    names = ("rounds", "steps", "discard_steps", "mask_frac", "threads")
    return {name: getattr(arguments, name) for name in names}


def title(found: dict[str, Any]) -> str:
    """The line above the table."""
    return (
        f"{found['machine']}; {found['rounds']} rounds of {found['steps']} updates, "
        f"{found['threads']} threads, {found['mask_frac']:.0%} masked"
    )


def open_rows(folder: Path, arguments: argparse.Namespace) -> list[Row]:
    """A row for each system with the loss that it finds at step 0; the dump lies in the folder.

    Raises:
        SystemExit: the losses differ, so there is nothing to compare.
    """
    ours = [*arguments.settings, "validation_rows=256"]
    dump = run_child([*environment(arguments), *ours_command(ours, arguments, "--dump", folder)])
    gate_loss = dump.report["dump"]["gate"]["loss"]
    rows = [Row(OURS, gate_loss)] if OURS in arguments.systems else []
    rows += [Row(f"{OURS}, {extra}", gate_loss) for extra in arguments.ours]
    for system in (each for each in arguments.systems if each != OURS):
        gate = peer_command(system, folder, arguments, "--pieces", folder / "gate.npz")
        report = run_child([*environment(arguments), *gate]).report
        rows.append(Row(system, report["gate"]["loss"]))
    if faults := gate_faults(rows):
        raise SystemExit("\n".join(faults))
    return rows


def run_once(system: str, folder: Path, arguments: argparse.Namespace) -> Spent:
    """One process."""
    steps = f"--steps={arguments.steps + arguments.discard_steps}"
    options = [steps, f"--discard-steps={arguments.discard_steps}"]
    if not system.startswith(OURS):
        return run_child(
            [*environment(arguments), *peer_command(system, folder, arguments, *options)]
        )
    extra = system.removeprefix(OURS).removeprefix(", ")
    settings = [f"mask_frac={arguments.mask_frac}", *arguments.settings]
    settings += ["validations=1", "validation_rows=1"]
    settings += [pair for pair in extra.split(",") if pair]
    return run_child([*environment(arguments), *ours_command(settings, arguments, *options)])


def ours_command(
    settings: Sequence[str], arguments: argparse.Namespace, *options: str | Path
) -> list[str | Path]:
    """A run of corpusmith."""
    inputs = ["--tokens", arguments.tokens, "--vocab", arguments.vocab]
    inputs += ["--folder", arguments.folder] if arguments.folder else []
    return python_module("pretrain_ours", *merged(settings), *inputs, *options)


def peer_command(
    system: str, weights: Path, arguments: argparse.Namespace, *options: str | Path
) -> list[str | Path]:
    """A run of a peer that begins from these weights."""
    return [
        arguments.peer_python,
        "-m",
        "tests.benchmarks.pretrain_peer",
        *peer_options(system),
        f"--tokens={arguments.tokens}",
        f"--vocab={arguments.vocab}",
        f"--model={weights}",
        f"--mask-frac={arguments.mask_frac}",
        *options,
    ]


def merged(settings: Sequence[str]) -> list[str]:
    """KEY=VALUE pairs without those that a later one of the same key overrides."""
    return list({pair.partition("=")[0]: pair for pair in settings}.values())


def peer_options(name: str) -> list[str]:
    """The form and options of a peer by its name."""
    if name in PEERS:
        return [*PEERS[name]]
    given = name.removeprefix(f"{TUNED}, ").split(",")
    return [*PEERS[TUNED], *(f"--{option}" for option in given)]


def environment(arguments: argparse.Namespace) -> list[str]:
    """The start of a command that gives every system the same threads. Idle ones sleep, as
    corpusmith's command line has it: where a processor is shared, spinning slows everyone."""
    return [
        "env",
        f"OMP_NUM_THREADS={arguments.threads}",
        "OMP_WAIT_POLICY=PASSIVE",
        "OMP_DYNAMIC=FALSE",
        "HF_HUB_OFFLINE=1",
        "TOKENIZERS_PARALLELISM=false",
    ]


def progress_line(number: int, row: Row, rows: Sequence[Row]) -> str:
    """What one system did in one round, and how much faster the first one was."""
    line = (
        f"round {number + 1}: {row.system}: {row.rates('wall_s')[-1]:,.0f} tokens/s, "
        f"{row.rates('cpu_s')[-1]:,.0f} tokens/CPU s"
    )
    if row is not rows[0]:
        first = Row(rows[0].system, 0.0, rows[0].rounds[: len(row.rounds)])
        line += f"; {OURS} x {ratios(first, row, 'cpu_s')[-1]:.2f} in CPU time"
    return f"{line}; load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    main()
