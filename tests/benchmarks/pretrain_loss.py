"""Measures how soon an encoder is as good as transformers' Trainer makes it in a given time.

    python -m tests.benchmarks.pretrain_speed --workspace WORKSPACE \\
        --peer-python PEER/bin/python --mask-frac 0.15 --ours mask_frac=0.3 --json speed.json
    python -m tests.benchmarks.pretrain_loss --workspace WORKSPACE \\
        --peer-python PEER/bin/python --minutes 20 --seeds 0 1 2 --steps 400 800 1200 \\
        --step-seconds-from speed.json --runs runs --png loss.png --json loss.json

The peers train for so many minutes, each seed anew; ours trains once for each number of --steps,
with its schedule set for it. All are examined on the same rows under the same masks, each piece
of a document by itself; examining counts for nobody's time. What is told is when ours first is as
good as the peer is at its end, at the granularity of --validations.

Other work on the machine spoils long timings. With --step-seconds-from time is not read from the
clock but is tokens over the median rate that pretrain_speed measured, for peers and for ours. Each
run's curve is kept in the folder --runs, and runs that are there are not repeated: they are known
by their settings and data, so delete the folder when the code has changed.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tasks.pretrain.config import PretrainConfig
from tasks.report import theme
from tests.benchmarks.children import absolute, run_child
from tests.benchmarks.ingest_speed import machine
from tests.benchmarks.pretrain_curves import Curve, compared, curve_of, measured_row, table
from tests.benchmarks.pretrain_inputs import add_inputs, add_systems, find_inputs
from tests.benchmarks.pretrain_ours import parse_settings
from tests.benchmarks.pretrain_peer import parse_arguments as parse_peer
from tests.benchmarks.pretrain_peer import settings as peer_settings
from tests.benchmarks.pretrain_speed import (
    PEERS,
    SIZE,
    environment,
    merged,
    ours_command,
    peer_options,
)
from tests.benchmarks.pretrain_table import DEFAULT, OURS, TUNED

Report = dict[str, Any]

COLOURS = [theme.REFERENCE, theme.CONTROL, "#7a3fb0", "#2b8a5a", "#a8324a"]
LINE_STYLES = ["-", "--", ":", "-."]


def main() -> None:
    """Do the runs that are not there, then print the table; curves with --png and --json."""
    arguments = parse_arguments()
    arguments.runs.mkdir(parents=True, exist_ok=True)
    peers, ours = [], []
    for seed in arguments.seeds:
        examination = dumped(seed, arguments)
        peers += [peer_curve(name, seed, examination, arguments) for name in arguments.peers]
        ours += [our_curve(num_steps, seed, arguments) for num_steps in arguments.steps]
    found = compared(peers, ours)
    sys.stdout.write("\n".join([title(arguments), *table(found)]) + "\n")
    if arguments.png:
        draw([*peers, *ours], arguments.png)
    if arguments.json:
        curves = [{**vars(each), "points": list(map(vars, each.points))} for each in peers + ours]
        pairs = [each.as_json() for each in found]
        text = json.dumps({"machine": machine(), "compared": pairs, "curves": curves}, indent=1)
        arguments.json.write_text(text + "\n", "utf-8")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_inputs(parser)
    add_systems(parser)
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=[DEFAULT, TUNED], metavar="NAME",
        help=f"{', '.join(PEERS)} (default: {DEFAULT} and {TUNED})",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=20.0, help="of each run of a peer")
    parser.add_argument("--steps", type=int, nargs="+", required=True, help="of ours, a run each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--validations", type=int, default=20, help="spread over each run")
    parser.add_argument("--validation-rows", type=int, default=256)
    parser.add_argument("--step-seconds-from", type=Path, help="JSON of pretrain_speed")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="whose seconds")
    parser.add_argument("--runs", type=absolute, required=True, help="a folder for the curves")
    parser.add_argument("--png", type=Path, help="a file for a drawing of all curves")
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    arguments = parser.parse_args()
    find_inputs(parser, arguments)
    if not arguments.peer_python:
        parser.error("give --peer-python, an interpreter that has the peer")
    arguments.settings = merged([SIZE, *arguments.settings])
    arguments.peers += [f"{TUNED}, {options}" for options in arguments.tuned]
    path = arguments.step_seconds_from
    arguments.speed = json.loads(path.read_text("utf-8")) if path else None
    return arguments


def title(arguments: argparse.Namespace) -> str:
    """The line above the table."""
    ours = " ".join(arguments.settings)
    clock = f"tokens over {arguments.step_seconds_from}" if arguments.speed else "measured"
    return (
        f"{machine()}; {arguments.threads} threads; time: {arguments.clock}, {clock}; "
        f"peers: {arguments.mask_frac:.0%} masked; ours: {ours}"
    )


# --------------------------------------------------------------------------------- runs


def dumped(seed: int, arguments: argparse.Namespace) -> Path:
    """The folder with what all are examined on, and the sizes of the model."""
    settings = [*arguments.settings, f"seed={seed}", examined(arguments)]
    folder = arguments.runs / f"examination-{key_of(settings, arguments)}"
    kept(folder.name, ours_command(settings, arguments, "--dump", folder), arguments)
    return folder


def peer_curve(name: str, seed: int, examination: Path, arguments: argparse.Namespace) -> Curve:
    """A peer's run."""
    options = [*peer_options(name), f"--mask-frac={arguments.mask_frac}", f"--seed={seed}"]
    rate = None
    length = f"--minutes={arguments.minutes}"
    if arguments.speed:
        row = measured_row(arguments.speed, settings_of_peer(options))
        rate = float(row[f"tokens_per_{arguments.clock}_s"])
        num_steps = arguments.minutes * 60 * row["tokens_per_wall_s"] / row["tokens_per_step"]
        length = f"--steps={max(1, round(num_steps))}"
    options += [length, f"--validations={arguments.validations}"]
    places = [f"--config={examination}", f"--validation-pieces={examination / 'validation.npz'}"]
    command = [
        arguments.peer_python,
        "-m",
        "tests.benchmarks.pretrain_peer",
        *options,
        *places,
        f"--tokens={arguments.tokens}",
        f"--vocab={arguments.vocab}",
    ]
    key = f"{slug(name)}-{seed}-{key_of([*options, examination.name], arguments)}"
    return curve_of(name, seed, kept(key, command, arguments), arguments.clock, rate)


def our_curve(num_steps: int, seed: int, arguments: argparse.Namespace) -> Curve:
    """A run of corpusmith whose schedule is set for so many steps."""
    settings = [
        *arguments.settings,
        f"seed={seed}",
        f"max_steps={num_steps}",
        f"validations={arguments.validations}",
        examined(arguments),
    ]
    key = f"{OURS}-{seed}-{num_steps}-{key_of(settings, arguments)}"
    rate = None
    if arguments.speed:
        config = PretrainConfig(**parse_settings(settings))
        row = measured_row(arguments.speed, config.model_dump(mode="json"))
        rate = float(row[f"tokens_per_{arguments.clock}_s"])
    report = kept(key, ours_command(settings, arguments), arguments)
    return curve_of(f"{OURS}, {num_steps} steps", seed, report, arguments.clock, rate)


def kept(key: str, command: Sequence[str | Path], arguments: argparse.Namespace) -> Report:
    """What the command reports: from the folder of runs, or by running it now."""
    path = arguments.runs / f"{key}.json"
    if not path.exists():
        sys.stderr.write(f"running {key}; load {os.getloadavg()[0]:.1f}\n")
        report = run_child([*environment(arguments), *command]).report
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps({"command": list(map(str, command)), "report": report}))
        unfinished.replace(path)
    found: Report = json.loads(path.read_text("utf-8"))["report"]
    return found


def key_of(options: Sequence[str], arguments: argparse.Namespace) -> str:
    """A name for these options on these data in so many threads."""
    data = [arguments.tokens.name, arguments.vocab.name, arguments.threads]
    return hashlib.sha256(json.dumps([list(options), *data]).encode()).hexdigest()[:8]


def examined(arguments: argparse.Namespace) -> str:
    """The setting that says how many rows all are examined on."""
    return f"validation_rows={arguments.validation_rows}"


def settings_of_peer(options: Sequence[str]) -> dict[str, Any]:
    """What a peer with these options would report as its settings."""
    return peer_settings(parse_peer([*options, "--tokens=", "--vocab="]))


def slug(name: str) -> str:
    """A name as part of a file's."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


# ------------------------------------------------------------------------------ drawing


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Bits a byte over minutes as a PNG: a line for each run, a colour for each system, a style for
    each seed."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    peers = dict.fromkeys(curve.system for curve in curves if not curve.system.startswith(OURS))
    colours = dict(zip(peers, COLOURS * len(peers), strict=False))
    named: set[str] = set()
    for curve in curves:
        colour = colours.get(curve.system, theme.SUBJECT)
        name = curve.system if curve.system in peers else OURS
        axes.plot(
            [point.seconds / 60 for point in curve.points],
            [point.bits_per_byte for point in curve.points],
            color=colour,
            linestyle=LINE_STYLES[curve.seed % len(LINE_STYLES)],
            linewidth=1.2,
            marker=".",
            markersize=3,
            label=None if name in named else name,
        )
        named.add(name)
    axes.set(xlabel="minutes of training", ylabel="bits a byte of masked text")
    axes.grid(axis="y", color=theme.GRID)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
