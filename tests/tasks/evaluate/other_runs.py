"""Workspaces of other runs, as far as a comparison reads them: a corpus and an embedder of it."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.store.artifact import Artifact, ArtifactRef, artifact_from
from tasks.store.identity import Identity
from tasks.store.manifest import MANIFEST_NAME, FileEntry, InputEntry, Manifest, render_manifest
from tests.tasks.evaluate.folders import write_corpus, write_embedder


def commit(
    workspace: Path,
    made: Path,
    stage: str,
    inputs: Mapping[str, ArtifactRef],
    settings: Mapping[str, Any],
    *,
    version: int = 1,
    sources: Any = None,
) -> Artifact:
    """Move the folder to where the answer to a request lies, under a manifest."""
    (made / MANIFEST_NAME).unlink(missing_ok=True)
    identity = Identity(
        stage=stage,
        version=version,
        settings=dict(settings),
        inputs={name: ref.input_id for name, ref in inputs.items()},
        sources=sources,
    )
    files = tuple(
        FileEntry(
            name=path.relative_to(made).as_posix(),
            bytes=path.stat().st_size,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(made.rglob("*"))
        if path.is_file()
    )
    entries = {
        name: InputEntry(input_id=ref.input_id, content_id=ref.content_id)
        for name, ref in inputs.items()
    }
    manifest = Manifest(identity=identity, inputs=entries, files=files)
    place = workspace / "artifacts" / stage / identity.input_id
    place.parent.mkdir(parents=True, exist_ok=True)
    made.rename(place)
    (place / MANIFEST_NAME).write_bytes(render_manifest(manifest))
    return artifact_from(place, manifest)


def other_run(
    workspace: Path, documents: Sequence[dict[str, Any]], *, seed: int = 1
) -> tuple[Artifact, Artifact]:
    """Another run's corpus and embedder; the seed is of the embedder's weights."""
    workspace.mkdir(parents=True)
    made = write_corpus(workspace / "made", documents)
    corpus = commit(workspace, made, "ingest", {}, {"num": len(documents)})
    made = write_embedder(workspace / "made", seed=seed)
    embedder = commit(workspace, made, "tune", {"ingest": corpus.ref}, {"seed": seed})
    return corpus, embedder
