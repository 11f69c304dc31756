"""Measures how the peak memory of ingest grows with the corpus.

    python -m tests.benchmarks.ingest_memory --megabytes 100 1000 --setting workers=...

Imports little, since a child's peak never shows below the size of the process that started it.
"""

import argparse
import itertools
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.children import absolute, python_module, run_child

MIB = 2**20


def main() -> None:
    """Measure each size, then print the table, and all numbers with --json."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="ingest-memory-") as name:
        found = [
            measure(megabytes, arguments.seed, arguments.setting, Path(name))
            for megabytes in arguments.megabytes
        ]
    sys.stdout.write("\n".join(table(found, arguments.setting)) + "\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, nargs="+", default=[100, 1000])
    parser.add_argument("--seed", type=int, default=0, help="of the generated text")
    parser.add_argument(
        "--setting", action="append", default=[], metavar="KEY=VALUE", help="of ingest"
    )
    parser.add_argument("--folder", type=absolute, help="where temporary files may lie")
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    return parser.parse_args()


def measure(megabytes: float, seed: int, settings: Sequence[str], folder: Path) -> dict[str, Any]:
    """Generate a corpus of one size, take it in, and remove both."""
    path, output = folder / "generated.jsonl", folder / "output"
    size = f"--megabytes={megabytes}"
    made = run_child(python_module("generated_text", path, size, f"--seed={seed}")).report
    command = python_module("ingest_ours", path, output, *settings)
    spent = run_child(command, watch_memory=True)
    path.unlink()
    shutil.rmtree(output)
    return {
        "num_bytes": made["num_bytes"],
        "num_documents": made["num_documents"],
        "num_kept": int(spent.report["num_kept"]),
        "peak_process_bytes": spent.peak_process_bytes,
        "peak_tree_bytes": max(spent.peak_tree_bytes, spent.peak_process_bytes),
        "cpu_s": spent.cpu_s,
        "wall_s": spent.wall_s,
    }


def table(found: Sequence[dict[str, Any]], settings: Sequence[str]) -> list[str]:
    """The lines to print."""
    lines = [
        f"ingest settings: {' '.join(settings) or 'default'}",
        f"{'MB':>7}{'documents':>11}{'kept':>9}{'largest process MiB':>21}{'all processes MiB':>19}"
        f"{'bytes a document':>18}{'CPU s':>8}{'wall s':>8}",
    ]
    for row in found:
        lines.append(
            f"{row['num_bytes'] / 1e6:7.0f}{row['num_documents']:11}{row['num_kept']:9}"
            f"{row['peak_process_bytes'] / MIB:21.1f}{row['peak_tree_bytes'] / MIB:19.1f}"
            f"{row['peak_tree_bytes'] / row['num_documents']:18.0f}"
            f"{row['cpu_s']:8.1f}{row['wall_s']:8.1f}"
        )
    for less, more in itertools.pairwise(found):
        lines.append(growth(less, more))
    lines.append("all processes: pages that processes share count for each of them")
    return lines


def growth(less: dict[str, Any], more: dict[str, Any]) -> str:
    """How much more memory a larger corpus took."""
    ratio = more["peak_tree_bytes"] / less["peak_tree_bytes"]
    num_documents = more["num_documents"] - less["num_documents"]
    each = (more["peak_tree_bytes"] - less["peak_tree_bytes"]) / num_documents
    size = more["num_bytes"] / less["num_bytes"]
    return f"{size:.1f} times the bytes: {ratio:.2f} times the memory, {each:.0f} bytes a document"


if __name__ == "__main__":
    main()
