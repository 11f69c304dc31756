"""What a finished run shows a person beyond its record: the scores, and three searches."""

from itertools import islice
from typing import Any

import pyarrow.parquet as pq

from flows.published import search_release
from tasks.corpus import Corpus
from tasks.store.workspace import Workspace

# What somebody might look for in the documentation of Python's standard library.
BUILTIN_QUERIES = (
    "compress and decompress files",
    "wait until a thread has finished",
    "parse a date from a string",
)
NUM_HITS = 3
QUERY_WORDS = 12


def closing(workspace: Workspace, record: dict[str, Any], *, builtin: bool) -> dict[str, Any]:
    """Scores beside the baselines, and what the release answers to three queries."""
    folders = {name: workspace.path / made["path"] for name, made in record["artifacts"].items()}
    queries = BUILTIN_QUERIES if builtin else _openings(Corpus(folders["ingest"]))
    hits = search_release(workspace, queries, NUM_HITS)
    return {
        "scores": pq.read_table(folders["evaluate"] / "scores.parquet").to_pylist(),
        "searches": [
            {"query": query, "hits": found} for query, found in zip(queries, hits, strict=True)
        ],
        "published": str(workspace.published / "embeddings"),
        "report": str(folders["evaluate"] / "report.html"),
    }


def _openings(corpus: Corpus) -> list[str]:
    """The first words of three test documents: queries that suit whatever the corpus is about."""
    documents = islice(corpus.documents("test"), 3)
    return [" ".join(document.text.split()[:QUERY_WORDS]) for document in documents]
