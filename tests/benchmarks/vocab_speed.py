"""Measures how fast a BPE vocabulary is learned, beside four peers that do the same work.

    python -m tests.benchmarks.documentation_text /tmp/documents.jsonl --megabytes 100
    python -m tests.benchmarks.vocab_speed /tmp/documents.jsonl --peer-python PEER/bin/python

The peers want an environment of their own: `pip install gigabpe==0.1.0 rustbpe==0.1.0
sentencepiece==0.2.3 tokenizers==VERSION`, the version that stands in constraints.txt. Systems take
turns, one process at a time, in every round: first without merges, then with them. With --cold,
what compiling the code costs is measured too.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.children import Spent, absolute, python_module, run_child
from tests.benchmarks.ingest_speed import machine
from tests.benchmarks.vocab_table import FLOOR, LIBRARY, OURS, RIVAL, Row, as_json, table

FORMS = {OURS: "texts", f"{OURS} (arrays)": "arrays", f"{OURS} (lines)": "lines"}
PEERS = [LIBRARY, "rustbpe", "sentencepiece", RIVAL, FLOOR]
NO_MERGES = 256  # the size of a vocabulary that has none


def main() -> None:
    """Run all rounds, then print the table, and all numbers with --json."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="vocab-speed-") as name:
        folder = Path(name)
        cold = measure_cold(folder) if arguments.cold else None
        paths = {size: write_first(arguments.corpus, size, folder) for size in arguments.megabytes}
        rows = measure(paths, arguments)
    lines = [f"{machine()}; vocabulary of {arguments.vocab_size:,}", *table(rows)]
    sys.stdout.write("\n".join(lines + (cold_lines(cold) if cold else [])) + "\n")
    if arguments.json:
        found = {"machine": machine(), "vocab_size": arguments.vocab_size, "cold": cold}
        text = json.dumps({**found, "rows": as_json(rows)}, indent=2)
        arguments.json.write_text(text + "\n", "utf-8")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=absolute, help="JSON lines with a text each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--megabytes", type=float, nargs="+", default=[30, 100], help="taken from the beginning"
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--vocab-size", type=int, default=32768)
    parser.add_argument("--peer-python", type=absolute, help="an interpreter that has the peers")
    parser.add_argument(
        "--systems",
        nargs="+",
        choices=[*FORMS, *PEERS],
        metavar="NAME",
        help="all, if there is a --peer-python; else corpusmith only",
    )
    parser.add_argument("--cold", action="store_true", help="also measure compiling")
    parser.add_argument("--folder", type=absolute, help="where temporary files may lie")
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    arguments = parser.parse_args()
    if arguments.systems is None:
        arguments.systems = [*FORMS, *(PEERS if arguments.peer_python else [])]
    if set(arguments.systems) & set(PEERS) and not arguments.peer_python:
        parser.error("peers need --peer-python, an interpreter that has them")
    return arguments


def write_first(corpus: Path, megabytes: float, folder: Path) -> Path:
    """The first documents of the corpus, with that much text.

    Raises:
        SystemExit: the corpus has less.
    """
    path = folder / f"first-{megabytes:g}.jsonl"
    wanted = int(megabytes * 1e6)
    with corpus.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as file:
        for line in lines:
            if wanted <= 0:
                break
            file.write(line)
            wanted -= len(json.loads(line)["text"].encode())
    if wanted > 0:
        raise SystemExit(f"{corpus} has {wanted:,} bytes of text less than {megabytes:g} MB")
    return path


def measure(paths: dict[float, Path], arguments: argparse.Namespace) -> list[Row]:
    """Every system in turn on every corpus, round after round."""
    rows = [
        Row(system, size, num_threads)
        for size in paths
        for num_threads in arguments.threads
        for system in arguments.systems
    ]
    for row in rows:
        run_once(row, write_tiny(paths[row.num_megabytes]), NO_MERGES, arguments)  # warm caches
    for number in range(arguments.rounds):
        for row in rows:
            path = paths[row.num_megabytes]
            row.counts.append(run_once(row, path, NO_MERGES, arguments))
            row.totals.append(run_once(row, path, arguments.vocab_size, arguments))
            sys.stderr.write(progress_line(number, row) + "\n")
    return rows


def progress_line(number: int, row: Row) -> str:
    """What one system did in one round."""
    counted, total = row.counts[-1].report["cpu_s"], row.totals[-1].report["cpu_s"]
    return (
        f"round {number + 1}: {row.system}, {row.num_megabytes:g} MB, {row.num_threads} threads: "
        f"{counted:.2f} CPU s without merges, {total:.2f} with; load {os.getloadavg()[0]:.1f}"
    )


def write_tiny(path: Path) -> Path:
    """A file with the first documents only."""
    tiny = path.with_suffix(".tiny.jsonl")
    with path.open(encoding="utf-8") as lines:
        tiny.write_text("".join(line for _, line in zip(range(20), lines, strict=False)), "utf-8")
    return tiny


def run_once(row: Row, path: Path, vocab_size: int, arguments: argparse.Namespace) -> Spent:
    """One process."""
    options: list[str | Path] = [path, f"--vocab-size={vocab_size}", f"--threads={row.num_threads}"]
    command: Sequence[str | Path]
    if row.system in FORMS:
        command = python_module("vocab_ours", *options, f"--form={FORMS[row.system]}")
    else:
        script = Path(__file__).with_name("vocab_peers.py")
        command = [arguments.peer_python, script, row.system, *options]
    return run_child([*thread_limits(row.num_threads), *command])


def thread_limits(num_threads: int) -> Iterator[str]:
    """The start of a command that limits threads by all names that the systems look at."""
    yield "env"
    for name in ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        yield f"{name}={num_threads}"
    yield f"TOKENIZERS_PARALLELISM={'true' if num_threads > 1 else 'false'}"


def measure_cold(folder: Path) -> dict[str, Any]:
    """What a first start takes that finds no compiled code, and what the second one takes."""
    path = folder / "cold.jsonl"
    path.write_text(json.dumps({"text": "a word and another word"}) + "\n", "utf-8")
    cache = folder / "compiled"
    command = ["env", f"NUMBA_CACHE_DIR={cache}"]
    command += map(str, python_module("vocab_ours", path, f"--vocab-size={NO_MERGES + 1}"))
    cold, warm = run_child(command), run_child(command)
    return {
        "compile_cpu_s": cold.report["load_cpu_s"],
        "compile_wall_s": cold.report["load_wall_s"],
        "load_cpu_s": warm.report["load_cpu_s"],
        "load_wall_s": warm.report["load_wall_s"],
        "process_cpu_s_cold": cold.cpu_s,
        "process_cpu_s_warm": warm.cpu_s,
        "peak_bytes_cold": cold.peak_process_bytes,
    }


def cold_lines(cold: dict[str, Any]) -> list[str]:
    """The lines to print about compiling."""
    return [
        f"cold start of {OURS}: {cold['compile_cpu_s']:.1f} CPU s ({cold['compile_wall_s']:.1f} s) "
        f"to compile, once a machine; {cold['load_cpu_s']:.2f} CPU s to load what is compiled; "
        f"peak {cold['peak_bytes_cold'] / 1e6:.0f} MB"
    ]


if __name__ == "__main__":
    main()
