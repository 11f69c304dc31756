"""Measures how the peak memory of counting and learning grows with the corpus.

    python -m tests.benchmarks.vocab_memory --megabytes 100 400 --max-pretokens 0 200000

The text is made up, of words whose number keeps growing as in real text. What is run is the vocab
stage up to its report, which works on samples of fixed size. `--max-pretokens 0` means all.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.children import Spent, absolute, python_module, run_child


def main() -> None:
    """Measure each size with each limit, then print the table."""
    arguments = parse_arguments()
    sys.stdout.write(
        f"{'MB':>6}{'max_pretokens':>15}{'distinct':>12}{'learned from':>14}{'of text':>9}"
        f"{'peak MiB':>10}{'CPU s':>8}\n"
    )
    for megabytes in arguments.megabytes:
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="vocab-memory-") as name:
            corpus = Path(name) / "corpus"
            run_child(python_module("vocab_memory_corpus", corpus, f"--megabytes={megabytes}"))
            for limit in arguments.max_pretokens:
                output = Path(name) / "output"
                spent = run_child(python_module("vocab_memory_stage", corpus, output, str(limit)))
                shutil.rmtree(output)
                sys.stdout.write(line(megabytes, limit, spent) + "\n")


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, nargs="+", default=[100, 400])
    parser.add_argument("--max-pretokens", type=int, nargs="+", default=[0, 200_000])
    parser.add_argument("--folder", type=absolute, help="where temporary files may lie")
    return parser.parse_args()


def line(megabytes: float, limit: int, spent: Spent) -> str:
    """One row of the table."""
    report = spent.report
    return (
        f"{megabytes:6.0f}{limit or 'all':>15}{report['num_distinct']:12,}"
        f"{report['num_kept']:14,}{report['kept_frac']:9.2%}"
        f"{spent.peak_process_bytes / 2**20:10.0f}{spent.cpu_s:8.1f}"
    )


if __name__ == "__main__":
    main()
