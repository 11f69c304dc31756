"""Where a file came from: the chain of requests from it down to the user's source files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from model.errors import ArtifactError, RequestError
from tasks.store.identity import stage_of_input
from tasks.store.lookup import Lookup

Link = dict[str, Any]


def lineage_of(lookup: Lookup, path: Path) -> list[Link]:
    """The artifact that holds `path`, then everything it was made from, each once, nearest first.

    Args:
        lookup: of the workspace.
        path: an artifact's folder, a file inside one, or the same through the published link.

    Returns:
        JSON values: ``stage, input_id, content_id, path, inputs`` (upstream stage -> input_id),
        ``present`` (False where the artifact was deleted or replaced since), and ``sources``
        where the stage read the user's files.

    Raises:
        RequestError: `path` does not exist or lies in no artifact of this workspace.
        ArtifactError: its manifest is damaged.
    """
    stage, input_id = _locate(lookup, path)
    first = lookup.read(stage, input_id)
    links: dict[tuple[str, str], Link] = {}
    waiting = [(stage, input_id, first.ref.content_id)]
    while waiting:
        stage, input_id, content_id = waiting.pop(0)
        if (stage, input_id) not in links:
            link, inputs = _link(lookup, stage, input_id, content_id)
            links[stage, input_id] = link
            waiting.extend(inputs)
    return list(links.values())


def _link(
    lookup: Lookup, stage: str, input_id: str, content_id: str
) -> tuple[Link, list[tuple[str, str, str]]]:
    folder = lookup.workspace.artifact_folder(stage, input_id).relative_to(lookup.workspace.path)
    link: Link = {
        "stage": stage,
        "input_id": input_id,
        "content_id": content_id,
        "path": str(folder),
    }
    try:
        artifact = lookup.read(stage, input_id)
    except ArtifactError:
        return link | {"inputs": {}, "present": False}, []
    if artifact.ref.content_id != content_id:
        return link | {"inputs": {}, "present": False}, []
    manifest = artifact.manifest
    link |= {"inputs": dict(manifest.identity.inputs), "present": True}
    if manifest.identity.sources is not None:
        link["sources"] = manifest.identity.sources
    return link, [
        (stage_of_input(name), entry.input_id, entry.content_id)
        for name, entry in manifest.inputs.items()
    ]


def _locate(lookup: Lookup, path: Path) -> tuple[str, str]:
    found = next(_candidates(lookup, path), None)
    if found is None:
        raise RequestError(f"{path} does not exist: give an artifact or a file inside one")
    try:
        stage, input_id, *_ = found.relative_to(lookup.workspace.artifacts.resolve()).parts
    except ValueError as error:
        raise RequestError(
            f"{path} lies in no artifact of {lookup.workspace.path}: give a file below artifacts/ "
            "or published/embeddings"
        ) from error
    return stage, input_id


def _candidates(lookup: Lookup, path: Path) -> Iterator[Path]:
    """`path` as it is given, else below the workspace, as run records and references name it."""
    for place in (path, lookup.workspace.path / path):
        if place.exists():
            yield place.resolve()
