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

    In a bucket, where `send_files` has brought its files, the manifest is written instead.

    The final folder is never created beforehand: a rename onto an empty one would succeed.

    Raises:
        NondeterminismError: another result of the same request was committed first.
    """
    if lookup.workspace.bucket:
        return _publish_in_bucket(lookup, folder, manifest, inputs)
    identity = manifest.identity
    final = lookup.workspace.artifact_folder(identity.stage, identity.input_id)
    final.parent.mkdir(parents=True, exist_ok=True)
    while not _renamed(folder, final):
        winner = lookup.find(identity, inputs)  # a damaged or outdated one is set aside
        if winner:
            refuse_other_result(folder, manifest, winner)
            shutil.rmtree(folder)
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


def send_files(lookup: Lookup, folder: Path, manifest: Manifest) -> None:
    """Bring the files to where the workspace keeps them, if that is a bucket.

    Raises:
        StorageError: the server cannot be reached; what was sent is not sent again.
    """
    if lookup.workspace.bucket:
        from tasks.store.remote.transfers import send

        identity = manifest.identity
        bucket = lookup.workspace.bucket
        send(bucket, identity.stage, identity.input_id, folder, manifest.files)


def refuse_other_result(folder: Path, manifest: Manifest, winner: Artifact) -> None:
    """See that who was first with a request has committed what we would have.

    Raises:
        NondeterminismError: it has other files.
    """
    if winner.ref.content_id != manifest.content_id:
        mine = {file.name: file.sha256 for file in manifest.files}
        theirs = {file.name: file.sha256 for file in winner.manifest.files}
        names = sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name))
        raise NondeterminismError(
            f"{winner.ref.path}: the same request gave another {names[0]} "
            f"({len(names)} files differ); the committed one stays, compare with {folder}"
        )


def _publish_in_bucket(
    lookup: Lookup, folder: Path, manifest: Manifest, inputs: Mapping[str, ArtifactRef]
) -> Artifact:
    from tasks.store.remote.lookup import BucketLookup
    from tasks.store.remote.publication import publish_in_bucket

    assert isinstance(lookup, BucketLookup)
    return publish_in_bucket(lookup, folder, manifest, inputs)
