"""Seconds that ingest takes in processes of its own and on as many Dask processes.

    python -m tests.benchmarks.dask_speed novels.jsonl.gz --parts 8 --processes 1 2

The documents are dealt to `--parts` files, since a file is read by one process. Starting processes
is counted on both sides.
"""

import argparse
import gzip
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flows.config import WorkersConfig
from flows.dask_cluster import dask_workers
from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.stage import StageContext
from tests.benchmarks.ingest_ours import SilentReporter
from tests.tasks.chain import sealed


def deal(source: Path, folder: Path, num_parts: int) -> int:
    """Deal the lines to files; returns their bytes."""
    folder.mkdir()
    files = [(folder / f"{number:03d}.jsonl").open("wb") for number in range(num_parts)]
    with gzip.open(source) if source.suffix == ".gz" else source.open("rb") as lines:
        num_bytes = sum(files[number % num_parts].write(line) for number, line in enumerate(lines))
    for file in files:
        file.close()
    return num_bytes


def in_threads(function: Callable[[Any], Any], shards: Sequence[Any], *, name: str) -> list[Any]:
    """As many at a time as the flows have at least."""
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(function, shards))


def timed(corpus: Path, folder: Path, num_processes: int, *, dask: bool) -> tuple[float, str]:
    """Seconds, and the content id of what was made."""
    config = IngestConfig(paths=[str(corpus)], num_workers=num_processes)
    workers = WorkersConfig(dask=f"local:{num_processes}" if dask else None)
    output = folder / f"{num_processes}-{dask}"
    output.mkdir()
    started = time.monotonic()
    with dask_workers(workers, str(folder / "workspace")) as remote:
        INGEST.run(
            StageContext(config, {}, output, SilentReporter(), map_shards=in_threads, remote=remote)
        )
    return time.monotonic() - started, sealed(output, "ingest").ref.content_id


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        num_bytes = deal(options.source, folder / "corpus", options.parts)
        for num_processes in options.processes:
            for dask in (False, True):
                seconds, content = timed(folder / "corpus", folder, num_processes, dask=dask)
                way = "dask" if dask else "built in"
                sys.stdout.write(
                    f"{num_bytes / 1e6:.1f} MB, {num_processes} processes, {way}: "
                    f"{seconds:.1f} s, {content[:12]}\n"
                )


if __name__ == "__main__":
    main()
