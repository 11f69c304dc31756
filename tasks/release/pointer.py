"""Switches what is published: the release is written first, the pointer to it last.

``published/releases/000001.json``  every release there was, never changed
``published/current.json``          the current one, whole; replaced by one rename, in a bucket by
                                    one compare-and-swap
``published/embeddings``            a link to its export; follows the pointer
"""

import datetime
from collections.abc import Mapping

from model.errors import ArtifactError, RequestError
from tasks.release.link import point_link, refuse_blocked_link
from tasks.release.lock import publishing
from tasks.release.release import Release
from tasks.release.shelf import Shelf, shelf_of
from tasks.store.artifact import Artifact, ArtifactRef, artifact_path
from tasks.store.canonical import plain_json
from tasks.store.store import Store
from tasks.store.workspace import Workspace

__all__ = ["Release", "current", "flaws_of_current", "publish", "releases"]


def current(workspace: Workspace) -> Release | None:
    """What is published now; None before the first release.

    Raises:
        ArtifactError: the pointer is damaged or of a newer format.
    """
    return shelf_of(workspace).current()[0]


def releases(workspace: Workspace) -> list[Release]:
    """Every release there was, newest first.

    Raises:
        ArtifactError: one of them is damaged or of a newer format.
    """
    return shelf_of(workspace).releases()


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
    shelf = shelf_of(workspace)
    with publishing(workspace):
        while True:
            before, tag = shelf.current()
            _refuse_surprise(workspace, before, expected)
            refuse_blocked_link(workspace)
            if before and (before.embedder, before.export) == (embedder, export):
                release = before
                break
            release = _known(shelf, embedder, export) or _record(
                shelf, embedder, export, corpus, plain_json(scores or {}, "scores")
            )
            if shelf.switch(release, tag):
                break
        if not workspace.bucket:
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
            f"{workspace.location}: release {expected.id} was expected to be current, it is "
            f"{now}: look again before you publish"
        )


def _known(shelf: Shelf, embedder: ArtifactRef, export: ArtifactRef) -> Release | None:
    pairs = ((each, (each.embedder, each.export)) for each in shelf.releases())
    return next((each for each, pair in pairs if pair == (embedder, export)), None)


def _record(
    shelf: Shelf,
    embedder: ArtifactRef,
    export: ArtifactRef,
    corpus: ArtifactRef | None,
    scores: dict[str, float],
) -> Release:
    release = Release(
        id=max((each.id for each in shelf.releases()), default=0) + 1,
        embedder=embedder,
        export=export,
        corpus=corpus,
        scores=scores,
        published_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    while not shelf.add(release):  # another publisher was first with the id
        release = release.model_copy(update={"id": release.id + 1})
    return release
