"""Finds committed artifacts in a bucket: manifests first, files only where they are read."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import ArtifactError
from tasks.store.artifact import Artifact, ArtifactRef, artifact_from, artifact_path
from tasks.store.errors import FormatError
from tasks.store.identity import Identity
from tasks.store.lease import Seat, is_held
from tasks.store.lookup import Lookup, stale_inputs
from tasks.store.manifest import FileEntry, parse_manifest, read_manifest
from tasks.store.remote.bucket import Bucket, data_key, lease_key, manifest_key
from tasks.store.remote.lease_object import ObjectSeat
from tasks.store.remote.mirror import Mirror
from tasks.store.remote.objects import Stored
from tasks.store.remote.transfers import absent, damage
from tasks.store.threads import in_threads


@dataclass(frozen=True)
class BucketLookup(Lookup):
    """Looks artifacts up in a workspace's bucket, and completes the local copies of those read."""

    @property
    def bucket(self) -> Bucket:
        """The workspace's."""
        assert self.workspace.bucket, "only workspaces in a bucket are looked up here"
        return self.workspace.bucket

    @property
    def mirror(self) -> Mirror:
        """The local copies."""
        return Mirror(self.workspace.path, self.bucket, self.memory)

    def read(self, stage: str, input_id: str) -> Artifact:
        """As `Lookup.read`; its folder may not be there. One request, of the manifest."""
        found = self.bucket.manifest(stage, input_id)
        if found is None:
            place = f"{self.bucket.url}/{manifest_key(stage, input_id)}"
            raise ArtifactError(f"{place} is missing: the artifact was never finished")
        return self._parsed(stage, input_id, found)

    def has(self, ref: ArtifactRef) -> bool:
        """As `Lookup.has`."""
        return self.bucket.manifest(ref.stage, ref.input_id) is not None

    def find(self, identity: Identity, inputs: Mapping[str, ArtifactRef]) -> Artifact | None:
        """As `Lookup.find`, but of the files only presence and size are verified, in the bucket;
        their bytes are when they are read from, see `resolve`."""
        stage, input_id = identity.stage, identity.input_id
        found = self.bucket.manifest(stage, input_id)
        if found is None:
            return None
        try:
            artifact = self._parsed(stage, input_id, found)
        except FormatError:
            raise
        except ArtifactError as error:
            reasons = [str(error)]
        else:
            lacking = absent(self.bucket, stage, input_id, artifact.manifest.files)
            reasons = stale_inputs(artifact.manifest, inputs) or lacking
            if not reasons:
                return artifact
            self._drop(stage, input_id, artifact.manifest.files, lacking)
        self._set_aside(stage, input_id, found, reasons)
        return None

    def flaws(self, artifact: Artifact) -> list[str]:
        """As `Lookup.flaws`: downloads what is not here; none where the folder is whole now.

        What is damaged in the bucket is set aside there: its next maker could not see it.
        """
        reasons = self.mirror.complete(artifact)
        if reasons:
            stage, input_id = artifact.ref.stage, artifact.ref.input_id
            found = self.bucket.manifest(stage, input_id)
            if found and self._parsed(stage, input_id, found).manifest == artifact.manifest:
                self._drop(stage, input_id, artifact.manifest.files, reasons)
                self._set_aside(stage, input_id, found, reasons)
        return reasons

    def damage(self, artifact: Artifact) -> list[str]:
        """As `Lookup.damage`: reads the bucket, and keeps nothing."""
        ref = artifact.ref
        return sorted(damage(self.bucket, ref.stage, ref.input_id, artifact.manifest.files))

    def folder_of(self, ref: ArtifactRef) -> Path:
        """As `Lookup.folder_of`; a copy that is here was verified when it was fetched."""
        path = self.workspace.path / ref.path
        with contextlib.suppress(ArtifactError):
            if artifact_from(path, read_manifest(path)).ref == ref:
                return path
        return self.resolve(ref).path

    def names(self, stage: str = "*") -> Iterator[tuple[str, str]]:
        """As `Lookup.names`. Lists, so nothing that must be right depends on it."""
        return self.bucket.committed(stage)

    def read_all(self, stage: str = "*") -> Iterator[Artifact | ArtifactError]:
        """As `Lookup.read_all`; several manifests at a time."""
        names = list(self.bucket.requests("artifacts", stage))
        return (found for found in in_threads(self._read_if_committed, names) if found)

    def locate(self, path: Path) -> tuple[str, str]:
        """As `Lookup.locate`; neither folder nor file need be on this machine."""
        from tasks.store.remote.naming import request_of

        return request_of(self, path)

    def seat(self, stage: str, input_id: str) -> Seat:
        """As `Lookup.seat`."""
        return ObjectSeat(self.bucket.objects, lease_key(stage, input_id))

    def is_at_work(self, stage: str = "*") -> bool:
        """As `Lookup.is_at_work`."""
        objects = self.bucket.objects
        prefix = "leases/" if stage == "*" else f"leases/{stage}/"
        seats = [ObjectSeat(objects, found.key) for found in objects.listed(prefix)]
        return any(in_threads(lambda seat: is_held(seat.newest()), seats))

    def _read_if_committed(self, name: tuple[str, str]) -> Artifact | ArtifactError | None:
        found = self.bucket.manifest(*name)
        try:
            return self._parsed(*name, found) if found else None
        except ArtifactError as error:
            return error

    def _parsed(self, stage: str, input_id: str, found: Stored) -> Artifact:
        where = f"{self.bucket.url}/{manifest_key(stage, input_id)}"
        manifest = parse_manifest(found.raw, where)
        artifact = artifact_from(self.workspace.artifact_folder(stage, input_id), manifest)
        if (artifact.ref.stage, artifact.ref.input_id) != (stage, input_id):
            raise ArtifactError(f"{where} is the manifest of another artifact, {artifact.ref.path}")
        return artifact

    def _drop(
        self, stage: str, input_id: str, files: Sequence[FileEntry], flaws: Sequence[str]
    ) -> None:
        """Remove damaged files, or the next attempt would take them for sent."""
        broken = [
            entry for entry in files if any(flaw.startswith(f"{entry.name} ") for flaw in flaws)
        ]
        self.bucket.objects.delete(data_key(stage, input_id, entry) for entry in broken)

    def _set_aside(self, stage: str, input_id: str, found: Stored, reasons: Sequence[str]) -> None:
        place = self.bucket.set_aside(stage, input_id, found, reasons)
        if place:
            more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
            path = artifact_path(stage, input_id)
            self.warn(f"{path}: {reasons[0]}{more}; set aside in {place}, it will be made again")
