"""Makes a finished folder an artifact with one rename, and settles races with whoever was first."""

import errno
import shutil
from collections.abc import Mapping
from pathlib import Path

from tasks.store.artifact import Artifact, ArtifactRef, artifact_from
from tasks.store.atomic import fsync_folder
from tasks.store.errors import NondeterminismError
from tasks.store.lookup import Lookup
from tasks.store.manifest import Manifest

_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}


def publish_folder(
    lookup: Lookup, folder: Path, manifest: Manifest, inputs: Mapping[str, ArtifactRef]
) -> Artifact:
    """Rename a complete, synced `folder` to its final place; or adopt an equal one found there.

    The final folder is never created beforehand: a rename onto an empty one would succeed.

    Raises:
        NondeterminismError: another result of the same request was committed first.
    """
    identity = manifest.identity
    final = lookup.workspace.artifact_folder(identity.stage, identity.input_id)
    final.parent.mkdir(parents=True, exist_ok=True)
    while not _renamed(folder, final):
        winner = lookup.find(identity, inputs)  # a damaged or outdated one is set aside
        if winner:
            _settle(folder, manifest, winner)
            return winner
    for parent in (final.parent, folder.parent, final.parent.parent):
        fsync_folder(parent)
    return artifact_from(final, manifest)


def _renamed(folder: Path, final: Path) -> bool:
    try:
        folder.rename(final)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _settle(folder: Path, manifest: Manifest, winner: Artifact) -> None:
    if winner.ref.content_id != manifest.content_id:
        mine = {file.name: file.sha256 for file in manifest.files}
        theirs = {file.name: file.sha256 for file in winner.manifest.files}
        names = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
        raise NondeterminismError(
            f"{winner.ref.path}: the same request gave another {names[0]} "
            f"({len(names)} files differ); the committed one stays, compare with {folder}"
        )
    shutil.rmtree(folder)
