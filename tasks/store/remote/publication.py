"""Commits a finished folder to the bucket: its files are there already, the manifest comes last."""

from collections.abc import Mapping
from pathlib import Path

from tasks.store.artifact import Artifact, ArtifactRef, artifact_from
from tasks.store.manifest import MANIFEST_NAME, Manifest
from tasks.store.publication import refuse_other_result
from tasks.store.remote.lookup import BucketLookup


def publish_in_bucket(
    lookup: BucketLookup, folder: Path, manifest: Manifest, inputs: Mapping[str, ArtifactRef]
) -> Artifact:
    """Write the manifest where none is; or adopt an equal one found there.

    The folder becomes this machine's copy either way.

    Raises:
        NondeterminismError: another result of the same request was committed first.
        StorageError: the server cannot be reached; the folder and what was sent stay.
    """
    identity = manifest.identity
    stage, input_id = identity.stage, identity.input_id
    raw = (folder / MANIFEST_NAME).read_bytes()
    final = lookup.workspace.artifact_folder(stage, input_id)
    artifact = artifact_from(final, manifest)
    while not lookup.bucket.commit(stage, input_id, raw):
        winner = lookup.find(identity, inputs)  # a damaged or outdated one is set aside
        if winner:
            refuse_other_result(folder, manifest, winner)
            artifact = winner
            break
    lookup.mirror.adopt(folder, artifact)
    return artifact
