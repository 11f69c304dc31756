"""Answers from what is published: the embedder named in the dataset it searches."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.errors import RequestError
from tasks.release.pointer import Release, current
from tasks.search import embed_file, search
from tasks.store.workspace import Workspace


def search_release(
    workspace: Workspace, queries: Sequence[str], k: int
) -> list[list[dict[str, Any]]]:
    """The `k` nearest documents to each query, best first.

    Raises:
        RequestError: nothing is published, there are no words, or `k` is below 1.
    """
    if k < 1:
        raise RequestError(f"-k: at least 1 document, got {k}")
    if not all(query.strip() for query in queries):
        raise RequestError("search: there is nothing to look for: say some words")
    release = _released(workspace)
    assert release.corpus, "the pipeline publishes exports that were made from a corpus"
    found = search(
        queries,
        k=k,
        dataset=workspace.path / release.export.path,
        embedder=workspace.path / release.embedder.path,
        corpus=workspace.path / release.corpus.path,
    )
    return [[asdict(hit) for hit in hits] for hits in found]


def embed_files(workspace: Workspace, files: Sequence[str], output: Path) -> dict[str, Any]:
    """Embed the documents of files into one Parquet file.

    Raises:
        RequestError: nothing is published.
    """
    release = _released(workspace)
    count = embed_file(files, output, embedder=workspace.path / release.embedder.path)
    return {"path": str(output), "num_documents": count, "release": release.id}


def _released(workspace: Workspace) -> Release:
    release = current(workspace)
    if not release:
        raise RequestError(f"nothing is published in {workspace.path}: `corpusmith run` publishes")
    return release
