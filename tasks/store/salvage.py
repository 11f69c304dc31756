"""Takes over what is whole of an artifact that was set aside: only the rest is made again."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from model.errors import ArtifactError
from tasks.store.artifact import ArtifactRef
from tasks.store.atomic import make_folder
from tasks.store.erased import ERASED_NAME
from tasks.store.hashing import of_each, sha256_of
from tasks.store.lookup import stale_inputs
from tasks.store.manifest import FileEntry, Manifest, read_manifest
from tasks.store.workspace import Workspace


def salvage(
    workspace: Workspace,
    stage: str,
    input_id: str,
    inputs: Mapping[str, ArtifactRef],
    folder: Path,
) -> int:
    """Move the undamaged files of what was set aside of a request into its empty staging folder.

    As after an attempt that died, the stage decides what it can go on from. Reads every byte that
    it moves. What is damaged stays in quarantine, with the reason; so do, of checkpoints, those
    after a damaged one, since training makes it again only on its way to them.

    Args:
        workspace: local.
        stage: of the request.
        input_id: of the request.
        inputs: from which it is to be made; what was made from others is left alone.
        folder: where the stage is to work.

    Returns:
        The number of files that were moved.
    """
    num_moved = 0
    for place in _set_aside(workspace, stage, input_id):
        manifest = _manifest_of(place, input_id)
        if manifest is None or stale_inputs(manifest, inputs) or (place / ERASED_NAME).exists():
            continue
        for entry in _whole(place, manifest.files):
            target = folder / entry.name
            make_folder(target.parent)
            (place / entry.name).rename(target)
            num_moved += 1
        break
    return num_moved


def _set_aside(workspace: Workspace, stage: str, input_id: str) -> list[Path]:
    """The newest first."""
    found = [path for path in (workspace.quarantine / stage).glob(f"{input_id}-*") if path.is_dir()]
    return sorted(found, key=lambda path: path.stat().st_ctime_ns, reverse=True)


def _manifest_of(place: Path, input_id: str) -> Manifest | None:
    with contextlib.suppress(ArtifactError):
        manifest = read_manifest(place)
        if manifest.identity.input_id == input_id:
            return manifest
    return None


def _whole(place: Path, files: tuple[FileEntry, ...]) -> list[FileEntry]:
    """Those that hold what was committed."""
    there = [
        entry
        for entry in files
        if (place / entry.name).is_file() and not (place / entry.name).is_symlink()
    ]
    digests = of_each(_digest, [place / entry.name for entry in there])
    whole = [entry for entry, digest in zip(there, digests, strict=True) if digest == entry.sha256]
    ends: dict[str, str] = {}  # the first folder in a folder of which something is damaged
    for entry in set(files) - set(whole):
        if folders := _folders(entry):
            ends[folders[0]] = min(ends.get(folders[0], folders[1]), folders[1])
    return [
        entry for entry in whole if not (found := _folders(entry)) or not _is_after(found, ends)
    ]


def _folders(entry: FileEntry) -> tuple[str, str] | None:
    """The folder in the artifact and the folder in that, where the file lies so deep."""
    parts = entry.name.split("/")
    return (parts[0], parts[1]) if len(parts) > 2 else None


def _is_after(folders: tuple[str, str], ends: Mapping[str, str]) -> bool:
    return folders[0] in ends and folders[1] >= ends[folders[0]]


def _digest(path: Path) -> str | None:
    """None where the disk does not give it back."""
    try:
        return sha256_of(path)
    except OSError:
        return None
