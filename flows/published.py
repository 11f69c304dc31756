"""Answers from what is published: the embedder named in the dataset it searches."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

from flows.released import current_release
from model.errors import RequestError
from tasks.embed_file import embed_file, embed_rows
from tasks.explain import explain
from tasks.release.pointer import Release
from tasks.search import Searcher
from tasks.store.store import Store
from tasks.store.workspace import Workspace

CHECKPOINTS = "checkpoints"  # of the embedder, which answers nothing


def search_release(
    workspace: Workspace, queries: Sequence[str], k: int, *, where: Sequence[str] = ()
) -> list[list[dict[str, Any]]]:
    """The `k` nearest documents to each query, best first, for which all conditions hold.

    Raises:
        RequestError: nothing is published, there are no words, `k` is below 1, or a condition is
            wrong.
    """
    _check_count(k)
    if not all(query.strip() for query in queries):
        raise RequestError("search: there is nothing to look for: say some words")
    found = _searcher(workspace).like_texts(queries, k, where=where)
    return [[asdict(hit) for hit in hits] for hits in found]


def search_like(
    workspace: Workspace, doc_id: str, k: int, *, where: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The `k` documents nearest to a released one, without it and its equals in content.

    Raises:
        RequestError: nothing is published, there is no such document, `k` is below 1, or a
            condition is wrong.
    """
    _check_count(k)
    hits = _searcher(workspace).like_document(doc_id, k, where=where)
    return [asdict(hit) for hit in hits]


def explain_release(workspace: Workspace, left_id: str, right_id: str, k: int) -> dict[str, Any]:
    """The words that make two released documents alike, and pairs of the first `k` of each.

    Raises:
        RequestError: nothing is published, there is no such document, `k` is below 1, or the
            embedder does not pool linearly.
    """
    _check_count(k)
    release = current_release(workspace)
    found, dataset_cosine = explain(left_id, right_id, num_words=k, **_folders(workspace, release))
    ids = {"left": left_id, "right": right_id}
    return {**ids, "dataset_cosine": dataset_cosine, **asdict(found)}


def embed_files(
    workspace: Workspace, files: Sequence[str], output: Path | None, *, dim: int | None = None
) -> dict[str, Any]:
    """Embed the documents of files: into one Parquet file, or as rows of the answer.

    Raises:
        RequestError: nothing is published, or the embedder was not trained for the width.
    """
    release = current_release(workspace)
    embedder = Store(workspace).checked_folder_of(release.embedder, unread=CHECKPOINTS)
    if output is None:
        rows = embed_rows(files, embedder=embedder, dim=dim)
        return {"num_documents": len(rows), "release": release.id, "documents": rows}
    count = embed_file(files, output, embedder=embedder, dim=dim)
    return {"path": str(output), "num_documents": count, "release": release.id}


def _check_count(k: int) -> None:
    if k < 1:
        raise RequestError(f"-k: at least 1, got {k}")


def _searcher(workspace: Workspace) -> Searcher:
    release = current_release(workspace)
    # Beside the other local state, for artifacts never change; only large datasets have one.
    index_file = workspace.state / "search" / f"{release.export.content_id}.faiss"
    folders = _folders(workspace, release)
    return Searcher.open(**folders, index_file=index_file)


class _Folders(TypedDict):
    dataset: Path
    embedder: Path
    corpus: Path


def _folders(workspace: Workspace, release: Release) -> _Folders:
    assert release.corpus, "the pipeline publishes exports that were made from a corpus"
    store = Store(workspace)
    return {
        "dataset": store.folder_of(release.export),
        "embedder": store.checked_folder_of(release.embedder, unread=CHECKPOINTS),
        "corpus": store.folder_of(release.corpus),
    }
