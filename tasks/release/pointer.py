"""Switches what is published: the release is written first, the pointer to it last.

``published/releases/000001.json``  every release there was, never changed
``published/switches/000001.json``  every switch of the pointer, written before it
``published/current.json``          the current one, whole; replaced by one rename, in a bucket by
                                    one compare-and-swap
``published/embeddings``            a link to its export; follows the pointer
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from model.errors import ArtifactError, RequestError
from tasks.release.link import point_link, refuse_blocked_link
from tasks.release.lock import publishing
from tasks.release.release import Release
from tasks.release.shelf import Shelf, shelf_of
from tasks.release.switches import Kind, Switch, happened, way_back
from tasks.store.artifact import Artifact, ArtifactRef, artifact_path
from tasks.store.canonical import plain_json
from tasks.store.run_records import utc_now
from tasks.store.store import Store
from tasks.store.workspace import Workspace

__all__ = [
    "UNCHECKED",
    "Release",
    "current",
    "flaws_of",
    "flaws_of_current",
    "history",
    "publish",
    "released",
    "releases",
    "roll_back",
]


class Unchecked(Enum):
    """Stands where a release would, or None for no release."""

    UNCHECKED = "unchecked"


UNCHECKED: Final = Unchecked.UNCHECKED  # whatever is current


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


def released(workspace: Workspace, release_id: int) -> Release:
    """The release of that id.

    Raises:
        RequestError: there was none.
        ArtifactError: a release is damaged or of a newer format.
    """
    known = {each.id: each for each in releases(workspace)}
    if release_id not in known:
        there = ", ".join(map(str, sorted(known))) or "none yet"
        raise RequestError(f"{workspace.location}: there was no release {release_id}: {there}")
    return known[release_id]


def history(workspace: Workspace) -> list[Switch]:
    """Every switch of the pointer, publications and rollbacks, oldest first.

    Raises:
        ArtifactError: the pointer or a switch is damaged or of a newer format.
    """
    shelf = shelf_of(workspace)
    now, _ = shelf.current()
    return happened(shelf.switches(), now.id if now else None)


def publish(
    workspace: Workspace,
    *,
    embedder: ArtifactRef,
    export: ArtifactRef,
    scores: Mapping[str, float] | None = None,
    expected: Release | Unchecked | None = UNCHECKED,
) -> Release:
    """Make an embedder and its export the current release; readers see the old or the new one.

    Publishing what is current already changes nothing, except that a link left behind by a
    crash is put right. A pair that was released before becomes current again under its old id.

    Args:
        workspace: where both lie.
        embedder: turns queries into vectors of the export's space.
        export: made with exactly this embedder.
        scores: of the embedder, by metric name.
        expected: the release that the decision to publish was made against, None where nothing was
            published then; publishing is refused when another one has become current since.

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
            if _switched(shelf, "published", release, before, tag):
                break
        if not workspace.bucket:
            point_link(workspace, release)
    return release


def roll_back(workspace: Workspace, release_id: int | None = None) -> Release:
    """Make an earlier release current again; the releases and their history stay.

    Rolling back to what is current already only puts right a link left behind by a crash.

    Args:
        workspace: where they lie.
        release_id: which one; None = what was current before the current one was published.

    Returns:
        The current release.

    Raises:
        RequestError: there was no such release, or nothing to go back to, or no id was given and
            another release became current meanwhile, or a folder of the user's is in the way of
            the link.
        ArtifactError: what it names is gone or damaged; every byte of it is read.
    """
    expected: Release | Unchecked | None = UNCHECKED
    if release_id is None:
        expected = current(workspace)
        target = _before(workspace, expected)
    else:
        target = released(workspace, release_id)
    _refuse_damaged(workspace, target)
    shelf = shelf_of(workspace)
    with publishing(workspace):
        while True:
            now, tag = shelf.current()
            _refuse_surprise(workspace, now, expected)
            refuse_blocked_link(workspace)
            if now and now.id == target.id:
                break
            if _switched(shelf, "rolled_back", target, now, tag):
                break
        if not workspace.bucket:
            point_link(workspace, target)
    return target


def _before(workspace: Workspace, now: Release | None) -> Release:
    if now is None:
        raise RequestError(f"nothing is published in {workspace.location}: there is no way back")
    known = [each.id for each in releases(workspace)]
    back = way_back(history(workspace), known, now.id)
    if not back:
        raise RequestError(
            f"{workspace.location}: no release came before release {now.id}: name one to go to"
        )
    return released(workspace, back[0])


def _refuse_damaged(workspace: Workspace, release: Release) -> None:
    store = Store(workspace)
    for ref in filter(None, (release.embedder, release.export, release.corpus)):
        flaws = _flaws(workspace, ref) or store.damage_of(ref)
        if flaws:
            raise ArtifactError(
                f"release {release.id} cannot be gone back to: {flaws[0]}; what is current stays"
            )


def _switched(shelf: Shelf, kind: Kind, to: Release, before: Release | None, tag: str) -> bool:
    """Write the switch, then move the pointer; False where another was first."""
    switch = Switch(
        number=shelf.last_number() + 1,
        kind=kind,
        release=to.id,
        before=before.id if before else None,
        at=utc_now(),
    )
    while not shelf.note(switch):  # another publisher was first with the number
        switch = switch.model_copy(update={"number": switch.number + 1})
    return shelf.switch(to, tag)


def flaws_of_current(workspace: Workspace) -> list[str]:
    """What the current release names that is not there as it was published, one line each.

    Looks at manifests only; `Store.verify_all` reads the files.

    Raises:
        ArtifactError: the pointer is damaged or of a newer format.
    """
    release = current(workspace)
    return flaws_of(workspace, release) if release else []


def flaws_of(workspace: Workspace, release: Release) -> list[str]:
    """What a release names that is not there as it was published; see `flaws_of_current`."""
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
    workspace: Workspace, before: Release | None, expected: Release | Unchecked | None
) -> None:
    if isinstance(expected, Unchecked):
        return
    if (before and before.id) != (expected and expected.id):
        then = f"release {expected.id}" if expected else "no release"
        now = f"release {before.id}" if before else "none"
        raise RequestError(
            f"{workspace.location}: {then} was expected to be current, it is {now}: "
            "look again before you switch"
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
        published_at=utc_now(),
    )
    while not shelf.add(release):  # another publisher was first with the id
        release = release.model_copy(update={"id": release.id + 1})
    return release
