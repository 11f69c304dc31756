"""Artifacts of other runs that a setting names by their folders, in any workspace."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import RequestError
from tasks.store.artifact import Artifact
from tasks.store.manifest import MANIFEST_NAME
from tasks.store.remote.location import is_remote
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.system_names import OTHER_PREFIX


@dataclass(frozen=True)
class NamedArtifact:
    """A finished artifact, its files not verified yet.

    Attributes:
        folder: as the user wrote it.
        store: of its workspace.
        artifact: what its manifest says.
    """

    folder: str
    store: Store
    artifact: Artifact


def named_artifacts(
    folders: Sequence[str], *, stage: str, what: str, setting: str
) -> dict[str, NamedArtifact]:
    """The artifacts in these folders, ``<workspace>/artifacts/<stage>/<input_id>`` each, by name:
    ``other_`` and the first eight digits of its input_id. Only manifests are read.

    Args:
        folders: paths, or URLs in a workspace on ``s3://``.
        stage: that made them.
        what: such as ``embedder``, for complaints.
        setting: such as ``evaluate.compare_with``; every complaint begins with it.

    Raises:
        RequestError: a folder is missing or no such artifact, or two would have one name.
        ArtifactError: a manifest is damaged.
    """
    named: dict[str, NamedArtifact] = {}
    for folder in folders:
        found = _named_artifact(folder, stage, what, setting)
        name = OTHER_PREFIX + found.artifact.ref.input_id[:8]
        if name in named:
            raise RequestError(
                f"{setting}: {named[name].folder} and {folder} would both be named {name}; "
                "name one of them"
            )
        named[name] = found
    return named


def _named_artifact(folder: str, stage: str, what: str, setting: str) -> NamedArtifact:
    if is_remote(folder):
        return _in_a_bucket(folder, stage, what, setting)
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise RequestError(f"{setting}: {folder} is no folder on this machine; give its path")
    place = ("artifacts", stage)
    if path.parts[-3:-1] != place or not (path / MANIFEST_NAME).is_file():
        raise RequestError(
            f"{setting}: {folder} is no {what} that {stage} has finished; name a folder "
            f"{'/'.join(place)}/<id> where it was made, in its workspace"
        )
    store = Store(Workspace.at(path.parents[2]))
    return NamedArtifact(folder, store, store.get(stage, path.name))


def _in_a_bucket(url: str, stage: str, what: str, setting: str) -> NamedArtifact:
    workspace, _, input_id = url.rstrip("/").rpartition(f"/artifacts/{stage}/")
    store = Store(Workspace.open_existing(workspace)) if workspace else None
    names = {one.ref.input_id: one for one in store.artifacts(stage)} if store else {}
    if store is None or input_id not in names:
        raise RequestError(
            f"{setting}: {url} is no {what} that {stage} has finished; name "
            f"s3://BUCKET/PREFIX/artifacts/{stage}/<id>"
        )
    return NamedArtifact(url, store, names[input_id])
