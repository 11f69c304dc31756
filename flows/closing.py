"""What a finished run shows a person beyond its record: the scores, and three searches."""

from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from flows.published import search_release
from flows.released import place_to_read
from tasks.corpus import Corpus
from tasks.release.release import Release
from tasks.store.artifact import ArtifactRef
from tasks.store.store import Store
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
    """Scores beside the baselines, and what the release answers to three queries.

    ``published`` is the path that readers use.
    """
    corpus, scores = (_folder(workspace, record, stage) for stage in ("ingest", "evaluate"))
    queries = BUILTIN_QUERIES if builtin else _openings(Corpus(corpus))
    hits = search_release(workspace, queries, NUM_HITS)
    return {
        "scores": pq.read_table(
            scores / "scores.parquet", page_checksum_verification=True
        ).to_pylist(),
        "searches": [
            {"query": query, "hits": found} for query, found in zip(queries, hits, strict=True)
        ],
        "published": place_to_read(workspace, Release.model_validate(record["release"])),
        "report": str(scores / "report.html"),
    }


def _folder(workspace: Workspace, record: dict[str, Any], stage: str) -> Path:
    made = record["artifacts"][stage]
    named = {key: made[key] for key in ("input_id", "content_id", "path")}
    return Store(workspace).folder_of(ArtifactRef(stage=stage, **named))


def _openings(corpus: Corpus) -> list[str]:
    """The first words of three test documents: queries that suit whatever the corpus is about."""
    documents = islice(corpus.documents("test"), 3)
    return [" ".join(document.text.split()[:QUERY_WORDS]) for document in documents]
