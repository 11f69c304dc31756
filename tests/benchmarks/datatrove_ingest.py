"""Does with datatrove what ingest does; run by an interpreter that has datatrove.

Reads JSON lines, drops exact and near duplicates, writes Parquet: in one process, each block with
its defaults. Documents are read anew for each pass, as its own examples have it, and nothing is
written between the passes but signatures and the numbers of documents to drop.
"""

import argparse
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.exact_dedup import (
    ExactDedupConfig,
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import ParquetWriter
from datatrove.utils.stats import PipelineStats
from datatrove.utils.word_tokenizers import WordTokenizer
from loguru import logger


class WordsAtBlanks(WordTokenizer):
    """The cheapest way to find words, to see what the default one costs."""

    def word_tokenize(self, text: str) -> list[str]:
        """What stands between blanks."""
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        """Asked for by the interface; deduplication calls `word_tokenize` only."""
        raise NotImplementedError("the benchmark cuts words only")

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Asked for by the interface; deduplication calls `word_tokenize` only."""
        raise NotImplementedError("the benchmark cuts words only")


def text_of(document: Document) -> str:
    """What exact duplicates have in common."""
    return str(document.text)


class Pipeline:
    """All passes over one file, with their intermediate files in one folder."""

    def __init__(self, path: Path, folder: Path, words: str) -> None:
        self._path = path
        self._folder = folder
        self._words = words
        self._exact = ExactDedupConfig(content_getter=text_of)
        self._minhash = MinhashConfig()

    def run(self) -> dict[str, int]:
        """Numbers of documents read and written."""
        num_read = self._find_exact_duplicates()
        self._find_near_duplicates()
        self._write()
        written = (self._folder / "output").glob("*.parquet")
        return {
            "num_read": num_read,
            "num_kept": sum(pq.read_metadata(path).num_rows for path in written),
        }

    def _find_exact_duplicates(self) -> int:
        signatures = ExactDedupSignature(self._at("exact_signatures"), config=self._exact)
        stats = self._execute("exact_signatures", [self._reader(), signatures])
        found = ExactFindDedups(
            self._at("exact_signatures"), self._at("exact_duplicates"), config=self._exact
        )
        self._execute("exact_duplicates", [found])
        return int(stats.stats[0].stats["documents"].total)

    def _find_near_duplicates(self) -> None:
        signatures = MinhashDedupSignature(self._at("signatures"), config=self._minhash)
        if self._words == "blanks":
            signatures.word_tokenizer = WordsAtBlanks()
        self._execute("signatures", [self._reader(), self._exact_filter(), signatures])
        buckets = MinhashDedupBuckets(
            self._at("signatures"), self._at("buckets"), config=self._minhash
        )
        # One task a bucket is the fewest that this block takes; they run one after another.
        self._execute("buckets", [buckets], num_tasks=self._minhash.num_buckets)
        cluster = MinhashDedupCluster(self._at("buckets"), self._at("remove"), config=self._minhash)
        self._execute("remove", [cluster])

    def _write(self) -> None:
        steps = [
            self._reader(),
            self._exact_filter(),
            MinhashDedupFilter(self._at("remove")),
            ParquetWriter(self._at("output")),
        ]
        self._execute("output", steps)

    def _reader(self) -> JsonlReader:
        return JsonlReader(str(self._path.parent), glob_pattern=self._path.name, recursive=False)

    def _exact_filter(self) -> ExactDedupFilter:
        return ExactDedupFilter(self._at("exact_duplicates"), config=self._exact)

    def _execute(self, name: str, steps: list[Any], num_tasks: int = 1) -> PipelineStats:
        logs = self._at(f"logs_{name}")
        return LocalPipelineExecutor(steps, tasks=num_tasks, workers=1, logging_dir=logs).run()

    def _at(self, name: str) -> str:
        return str(self._folder / name)


def main() -> None:
    """Arguments: a JSONL file and a folder that is empty or to be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--words", choices=["default", "blanks"], default="default")
    arguments = parser.parse_args()
    logger.disable("datatrove")
    counts = Pipeline(arguments.path, arguments.folder, arguments.words).run()
    versions = {name: importlib.metadata.version(name) for name in ("datatrove", "spacy", "numpy")}
    sys.stdout.write(json.dumps({**counts, "versions": versions}) + "\n")


if __name__ == "__main__":
    main()
