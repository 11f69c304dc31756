"""Where a file came from: the chain of requests from it down to the user's source files."""

from pathlib import Path
from typing import Any

from model.errors import ArtifactError
from tasks.store.erased import read_erased
from tasks.store.identity import stage_of_input
from tasks.store.lookup import Lookup

Link = dict[str, Any]


def lineage_of(lookup: Lookup, path: Path) -> list[Link]:
    """The artifact that holds `path`, then everything it was made from, each once, nearest first.

    Args:
        lookup: of the workspace.
        path: an artifact's folder, a file inside one, or the same through the published link; in
            a bucket also its URL.

    Returns:
        JSON values: ``stage, input_id, content_id, path, inputs`` (upstream stage -> input_id),
        ``present`` (False where the artifact was deleted or replaced since), and ``sources``
        where the stage read the user's files; ``erased`` (num_documents, files, learned) where
        documents were erased from it or it learned from such.

    Raises:
        RequestError: `path` does not exist or lies in no artifact of this workspace.
        ArtifactError: its manifest is damaged.
    """
    stage, input_id = lookup.locate(path)
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
    if erased := read_erased(artifact.path):
        link["erased"] = {
            "num_documents": erased.num_documents,
            "files": sorted(erased.files),
            "learned": erased.has_learned,
        }
    return link, [
        (stage_of_input(name), entry.input_id, entry.content_id)
        for name, entry in manifest.inputs.items()
    ]
