"""Switches what is published: the release is written first, the pointer to it last.

``published/releases/000001.json``  every release there was, never changed
``published/current.json``          the current one, whole; replaced by one rename
``published/embeddings``            a link to its export; follows the pointer
"""

import datetime
from collections.abc import Mapping
from pathlib import Path

from model.errors import ArtifactError, RequestError
from tasks.release.link import point_link, refuse_blocked_link
from tasks.release.lock import publishing
from tasks.release.release import Release, read_release, render_release
from tasks.store.artifact import Artifact, ArtifactRef, artifact_path
from tasks.store.atomic import write_atomic
from tasks.store.canonical import plain_json
from tasks.store.store import Store
from tasks.store.workspace import Workspace

__all__ = ["Release", "current", "flaws_of_current", "publish", "releases"]


def current(workspace: Workspace) -> Release | None:
    """What is published now; None before the first release.

    Raises:
        ArtifactError: the pointer is damaged or of a newer format.
    """
    try:
        return read_release(workspace.current_release)
    except FileNotFoundError:
        return None


def releases(workspace: Workspace) -> list[Release]:
    """Every release there was, newest first.

    Raises:
        ArtifactError: one of them is damaged or of a newer format.
    """
    paths = sorted(_folder(workspace).glob("[0-9]*.json"), reverse=True)
    return [read_release(path) for path in paths]


def publish(
    workspace: Workspace,
    *,
    embedder: ArtifactRef,
    export: ArtifactRef,
    scores: Mapping[str, float] | None = None,
    expected: Release | None = None,
) -> Release:
    """Make an embedder and its export the current release; readers see the old or the new one.

    Publishing what is current already changes nothing, except that a link left behind by a
    crash is put right. A pair that was released before becomes current again under its old id.

    Args:
        workspace: where both lie.
        embedder: turns queries into vectors of the export's space.
        export: made with exactly this embedder.
        scores: of the embedder, by metric name.
        expected: the release that the decision to publish was made against, if it was; publishing
            is refused when another one has become current since.

    Returns:
        The current release.

    Raises:
        CorpusmithError: a score is not finite.
        ArtifactError: either is not committed, or the export was made with another embedder.
        RequestError: another release is current than `expected`, or a folder of the user's is
            in the way of the link.
    """
    corpus = _corpus_of(_matched_export(workspace, embedder, export))
    with publishing(workspace):
        before = current(workspace)
        _refuse_surprise(workspace, before, expected)
        refuse_blocked_link(workspace)
        if before is None or (before.embedder, before.export) != (embedder, export):
            release = _known(workspace, embedder, export) or _record(
                workspace, embedder, export, corpus, plain_json(scores or {}, "scores")
            )
            write_atomic(workspace.current_release, render_release(release))
        else:
            release = before
        point_link(workspace, release)
    return release


def flaws_of_current(workspace: Workspace) -> list[str]:
    """What the current release names that is not there as it was published, one line each.

    Looks at manifests only; `Store.verify_all` reads the files.

    Raises:
        ArtifactError: the pointer is damaged or of a newer format.
    """
    release = current(workspace)
    if release is None:
        return []
    named = [ref for ref in (release.embedder, release.export, release.corpus) if ref]
    return [f"release {release.id}: {flaw}" for ref in named for flaw in _flaws(workspace, ref)]


def _flaws(workspace: Workspace, ref: ArtifactRef) -> list[str]:
    try:
        found = Store(workspace).get(ref.stage, ref.input_id).ref
    except ArtifactError as error:
        return [str(error)]
    return [] if found == ref else [f"{ref.path} has other content than {ref.content_id}"]


def _matched_export(workspace: Workspace, embedder: ArtifactRef, export: ArtifactRef) -> Artifact:
    store = Store(workspace)
    for ref in (embedder, export):
        if store.get(ref.stage, ref.input_id).ref != ref:
            raise ArtifactError(f"{ref.path} has other content than {ref.content_id}: run again")
    artifact = store.get(export.stage, export.input_id)
    if embedder.content_id not in {entry.content_id for entry in artifact.manifest.inputs.values()}:
        raise ArtifactError(
            f"{export.path} was not made with the embedder {embedder.path}: run again"
        )
    return artifact


def _corpus_of(export: Artifact) -> ArtifactRef | None:
    entry = export.manifest.inputs.get("ingest")
    if entry is None:
        return None
    path = artifact_path("ingest", entry.input_id)
    return ArtifactRef(
        stage="ingest", input_id=entry.input_id, content_id=entry.content_id, path=path
    )


def _refuse_surprise(
    workspace: Workspace, before: Release | None, expected: Release | None
) -> None:
    if expected and (before is None or before.id != expected.id):
        now = f"release {before.id}" if before else "none"
        raise RequestError(
            f"{workspace.published}: release {expected.id} was expected to be current, it is "
            f"{now}: look again before you publish"
        )


def _known(workspace: Workspace, embedder: ArtifactRef, export: ArtifactRef) -> Release | None:
    pairs = ((each, (each.embedder, each.export)) for each in releases(workspace))
    return next((each for each, pair in pairs if pair == (embedder, export)), None)


def _record(
    workspace: Workspace,
    embedder: ArtifactRef,
    export: ArtifactRef,
    corpus: ArtifactRef | None,
    scores: dict[str, float],
) -> Release:
    release = Release(
        id=max((each.id for each in releases(workspace)), default=0) + 1,
        embedder=embedder,
        export=export,
        corpus=corpus,
        scores=scores,
        published_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    _folder(workspace).mkdir(exist_ok=True)
    write_atomic(_folder(workspace) / f"{release.id:06d}.json", render_release(release))
    return release


def _folder(workspace: Workspace) -> Path:
    return workspace.published / "releases"
