"""Pairs of an embedder and its export, small enough to be published many times in a test."""

from typing import Any

from tasks.release.pointer import Release, publish
from tasks.store.artifact import Artifact
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.tasks.store.making import identity_of, make

Pair = tuple[Artifact, Artifact]


def pair_of(store: Store, corpus: Artifact, k: int) -> Pair:
    embedder = make(store, identity_of("tune", k=k), files={"weights": bytes([k])})
    inputs = {"ingest": corpus, "tune": embedder}
    files = {"part-00000.parquet": b"vectors of %d" % k}
    return embedder, make(store, identity_of("export", inputs), inputs=inputs, files=files)


def published(workspace: Workspace, pair: Pair, **options: Any) -> Release:
    return publish(workspace, embedder=pair[0].ref, export=pair[1].ref, **options)


def is_whole(workspace: Workspace, release: Release) -> bool:
    """Whether a reader that knows nothing but the release finds all of it."""
    embedder = (workspace.path / release.embedder.path / "weights").read_bytes()
    export = (workspace.path / release.export.path / "part-00000.parquet").read_bytes()
    return export == b"vectors of %d" % embedder[0]
