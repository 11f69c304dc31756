"""Measures how fast a dataset is searched: loading, one query at a time, and peak memory.

    python -m tests.benchmarks.search_speed --rows 100000 --dim 384
    python -m tests.benchmarks.search_speed --rows 1100000 --dim 384

The dataset is made up, in files as export writes them, with a corpus of short texts for the
snippets; its vectors lie around subjects, as those of texts do. What is timed is the whole answer
beyond the encoder: nearest rows, metadata and snippets. Above a million rows an index answers;
then loading makes it, and how many of the ten nearest it finds is told.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from model.embedding import normalized
from tasks.embeddings_dataset import EmbeddingsDataset
from tasks.search import Searcher
from tasks.vector_index import Vectors, nearest_of_blocks
from tests.benchmarks.children import Spent, absolute, python_module, run_child
from tests.tasks.evaluate.folders import seal, sha256, write_corpus, write_dataset

ROWS_PER_PART = 10_000
CONDITION = "year = 1995"  # holds for one row in thirty


def main() -> None:
    """Make the files, measure them in a process of its own, and print one line a query's kind."""
    arguments = parse_arguments()
    if arguments.measure:
        sys.stdout.write(json.dumps(measure(arguments.measure, arguments.rounds)) + "\n")
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="search-speed-") as name:
        folder = Path(name)
        make(folder, arguments.rows, arguments.dim)
        command = python_module("search_speed", "--measure", folder, f"--rounds={arguments.rounds}")
        sys.stdout.write(text_of(run_child(command), arguments.rows, arguments.dim))


def parse_arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=absolute, help="where temporary files may lie")
    parser.add_argument("--measure", type=absolute, help=argparse.SUPPRESS)
    return parser.parse_args()


def make(folder: Path, num_rows: int, dim: int) -> None:
    """A dataset of unit vectors around random subjects, and its corpus."""
    (folder / "tune").mkdir()
    embedder_id = seal(folder / "tune", "tune").content_id
    draw = np.random.default_rng(0)
    vectors = directions(draw, num_rows, dim)
    subjects = directions(draw, max(1, round(num_rows**0.5)), dim)
    vectors += subjects[draw.integers(len(subjects), size=num_rows)]
    vectors = normalized(vectors)
    rows = [
        {
            "doc_id": f"folder/document-{number}.txt",
            "text": f"text {number} " + "some words of a document " * 20,
            "split": "train",
            "year": 1990 + number % 30,
            "heading": f"No. {number}",
        }
        for number in range(num_rows)
    ]
    write_corpus(folder / "ingest", rows, documents_per_shard=ROWS_PER_PART)
    for row in rows:
        row["content_sha256"] = sha256(row["text"])
    write_dataset(
        folder / "export", rows, vectors, embedder_id=embedder_id, rows_per_part=ROWS_PER_PART
    )


def directions(draw: np.random.Generator, count: int, dim: int) -> Vectors:
    """Unit vectors that point anywhere, float32 [count, dim]."""
    return normalized(draw.standard_normal((count, dim), dtype=np.float32))


def measure(folder: Path, rounds: int) -> dict[str, float]:
    """Seconds of loading, the median of each kind of query, and how many of the nearest it finds.

    Without loading is once for each of three searchers: of a large dataset the first makes the
    index, which is `load_s`, and the three open its file.
    """
    dataset = EmbeddingsDataset.open(folder / "export", folder / "tune")

    def opened() -> Searcher:
        return Searcher(
            dataset, folder / "tune", folder / "ingest", index_file=folder / "rows.faiss"
        )

    searcher = opened()
    started = time.monotonic()
    searcher.load()
    load_s = time.monotonic() - started
    once_s = median_s(lambda n: opened().like_vectors(dataset.vector(n)[None], ["words"], 10), 3)
    vectors = [
        dataset.vector(row) for row in range(0, dataset.num_rows, dataset.num_rows // rounds)
    ]
    ids = [row["doc_id"] for row in dataset.rows(range(0, rounds * 7, 7))]
    return {
        "once_s": once_s,
        "load_s": load_s,
        "vector_s": median_s(
            lambda n: searcher.like_vectors(vectors[n][None], ["words"], 10), rounds
        ),
        "like_s": median_s(lambda n: searcher.like_document(ids[n], 10), rounds),
        "where_s": median_s(
            lambda n: searcher.like_document(ids[n], 10, where=[CONDITION]), rounds
        ),
        "memory_bytes": psutil.Process().memory_info().rss,
        "recall_at_10": recall(searcher, dataset, np.stack(vectors)),
    }


def recall(searcher: Searcher, dataset: EmbeddingsDataset, queries: Vectors) -> float:
    """The share of the ten nearest rows of each query, found by comparing all, that a search finds.

    The queries are rows moved a little, so that none is a row's own vector.
    """
    noise = directions(np.random.default_rng(1), len(queries), queries.shape[1])
    moved = normalized(queries + noise / 2)
    exact = nearest_of_blocks(dataset.blocks(), moved, 10)
    wanted = [{row["doc_id"] for row in dataset.rows(sorted(each.rows))} for each in exact]
    answers = searcher.like_vectors(moved, ["words"] * len(moved), 10)
    found = [{hit.doc_id for hit in hits} for hits in answers]
    num_wanted = sum(len(each) for each in wanted)
    return sum(len(a & b) for a, b in zip(wanted, found, strict=True)) / num_wanted


def median_s(ask: Callable[[int], object], rounds: int) -> float:
    """The median of the seconds that each round takes."""
    seconds = []
    for number in range(rounds):
        started = time.monotonic()
        ask(number)
        seconds.append(time.monotonic() - started)
    return statistics.median(seconds)


def text_of(spent: Spent, num_rows: int, dim: int) -> str:
    """The findings, a line each."""
    found = spent.report
    return (
        f"{num_rows:,} x {dim}\n"
        f"without loading     {found['once_s']:8.3f} s\n"
        f"loading             {found['load_s']:8.2f} s\n"
        f"a query's vector    {found['vector_s']:8.3f} s\n"
        f"--like              {found['like_s']:8.3f} s\n"
        f"--like and --where  {found['where_s']:8.3f} s\n"
        f"memory after        {found['memory_bytes'] / 2**20:8.0f} MiB\n"
        f"of the ten nearest  {found['recall_at_10']:8.3f}\n"
        f"peak memory         {spent.peak_process_bytes / 2**20:8.0f} MiB\n"
    )


if __name__ == "__main__":
    main()
