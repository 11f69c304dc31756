"""Measures documents per CPU second of ingest beside datatrove doing the same work.

    python -m tests.benchmarks.ingest_speed --peer-python PEER/bin/python --setting KEY=VALUE

The peer wants an environment of its own: `pip install datatrove[io,processing]==0.10.1 spacy`.
Systems take turns, one process at a time, in every round; what is shown are medians over rounds.
CPU seconds are user and system time of a process and all its descendants. Start-up is a run on
two hundred one-line documents.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.benchmarks.children import ROOT, Spent, absolute, python_module, run_child
from tests.benchmarks.speed_table import (
    FLOOR,
    OURS,
    PEER,
    PEER_AT_BLANKS,
    Corpus,
    Row,
    as_json,
    table,
)

NOVELS = ROOT.parent / "shared/data/novels/novels.jsonl.gz"
NUM_TINY_DOCUMENTS = 200

Command = Callable[[Path, Path], Sequence[str | Path]]


def main() -> None:
    """Run all rounds, then print the table, and all numbers with --json."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="ingest-speed-") as name:
        folder = Path(name)
        corpora = gather_corpora(arguments, folder)
        tiny = write_tiny(folder / "tiny.jsonl")
        rows = measure(systems(arguments), corpora, tiny, folder, arguments)
    settings = " ".join(arguments.setting) or "default"
    lines = [f"{machine()}; ingest settings: {settings}", *table(rows)]
    sys.stdout.write("\n".join(lines) + "\n")
    if arguments.json:
        found = {"machine": machine(), "settings": settings, "rows": as_json(rows)}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-rounds", type=int, help="of the peer on the generated text")
    parser.add_argument(
        "--corpus", action="append", metavar="NAME=PATH", help="JSON lines, plain or gzipped"
    )
    parser.add_argument("--megabytes", type=float, default=200, help="generated text; 0: none")
    parser.add_argument("--seed", type=int, default=0, help="of the generated text")
    parser.add_argument("--peer-python", type=absolute, help="an interpreter that has datatrove")
    parser.add_argument(
        "--peer-at-blanks", action="store_true", help="also the peer with the cheapest tokenizer"
    )
    parser.add_argument("--no-ours", action="store_true", help="leave corpusmith out")
    parser.add_argument(
        "--setting", action="append", default=[], metavar="KEY=VALUE", help="of ingest"
    )
    parser.add_argument("--folder", type=absolute, help="where temporary files may lie")
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    return parser.parse_args()


def gather_corpora(arguments: argparse.Namespace, folder: Path) -> list[Corpus]:
    """The corpora named, and the generated one, with their sizes."""
    named = arguments.corpus or ([f"novels={NOVELS}"] if NOVELS.exists() else [])
    corpora = []
    for pair in named:
        name, _, path = pair.partition("=")
        corpora.append(read_corpus(name, Path(path).resolve()))
    if arguments.megabytes:
        path = folder / "generated.jsonl"
        size, seed = f"--megabytes={arguments.megabytes}", f"--seed={arguments.seed}"
        made = run_child(python_module("generated_text", path, size, seed)).report
        repeated = made["num_duplicates"] + made["num_near_duplicates"]
        corpora.append(read_corpus("generated", path, made["num_documents"] - repeated))
    return corpora


def read_corpus(name: str, path: Path, num_distinct: int | None = None) -> Corpus:
    """A corpus with its size; reading it here also warms the cache of the file system."""
    report = run_child(python_module("read_and_hash", path)).report
    return Corpus(name, path, report["num_read"], report["num_bytes"] / 1e6, num_distinct)


def write_tiny(path: Path) -> Corpus:
    """A corpus that takes no time beyond start-up, and yet uses every part of a system."""
    words = "one two three four five six seven eight".split()
    lines = [
        {"id": str(number), "text": " ".join(f"{word}{number}" for word in words)}
        for number in range(NUM_TINY_DOCUMENTS)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return Corpus("start-up", path, len(lines), path.stat().st_size / 1e6)


def systems(arguments: argparse.Namespace) -> dict[str, Command]:
    """Name -> the command that takes in a file with a folder to write to."""
    found: dict[str, Command] = {FLOOR: lambda path, _: python_module("read_and_hash", path)}
    script = Path(__file__).with_name("datatrove_ingest.py")
    peer = arguments.peer_python
    if peer:
        found[PEER] = lambda path, output: [peer, script, path, output]
    if peer and arguments.peer_at_blanks:
        found[PEER_AT_BLANKS] = lambda path, output: [peer, script, path, output, "--words=blanks"]
    if not arguments.no_ours:
        found[OURS] = lambda path, output: python_module(
            "ingest_ours", path, output, *arguments.setting
        )
    return found


def measure(
    commands: dict[str, Command],
    corpora: Sequence[Corpus],
    tiny: Corpus,
    folder: Path,
    arguments: argparse.Namespace,
) -> list[Row]:
    """Every system in turn on every corpus, round after round."""
    rows = [Row(system, corpus) for corpus in corpora for system in commands]
    for command in commands.values():
        take_in(command, tiny, folder)  # what is compiled or cached once is no part of a round
    for number in range(arguments.rounds):
        startup = {
            system: take_in(command, tiny, folder).cpu_s for system, command in commands.items()
        }
        for row in rows:
            if number < rounds_of(row, arguments):
                row.startup.append(startup[row.system])
                row.rounds.append(take_in(commands[row.system], row.corpus, folder))
                sys.stderr.write(
                    f"round {number + 1}: {row.system} on {row.corpus.name}: "
                    f"{row.rounds[-1].cpu_s:.2f} CPU s\n"
                )
    return rows


def rounds_of(row: Row, arguments: argparse.Namespace) -> int:
    """As asked for, which on the generated text may be fewer for the peer."""
    num_rounds: int = arguments.rounds
    if arguments.peer_rounds and row.corpus.num_distinct and row.system.startswith(PEER):
        num_rounds = min(num_rounds, int(arguments.peer_rounds))
    return num_rounds


def take_in(command: Command, corpus: Corpus, folder: Path) -> Spent:
    """One run, which must have read all there is; what it wrote is removed."""
    output = folder / "output"
    spent = run_child(command(corpus.path, output))
    shutil.rmtree(output, ignore_errors=True)
    if spent.report["num_read"] != corpus.num_documents:
        raise RuntimeError(f"of {corpus} were read: {spent.report}")
    return spent


def machine() -> str:
    """What the numbers depend on. The load says whether others worked at the same time."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    cpu = models[0] if models else platform.processor()
    load, python = os.getloadavg()[1], platform.python_version()
    return f"{cpu}, {os.cpu_count()} CPUs, load {load:.1f}, Python {python}"


if __name__ == "__main__":
    main()
