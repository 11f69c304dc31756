"""A workspace in a bucket: which keys there are, and the manifests, whose keys are the commits.

``artifacts/<stage>/<input_id>/data/<sha256>/<name>``  a file, as whichever attempt sent it
``artifacts/<stage>/<input_id>/MANIFEST.json``         the commit: names the files that count
``checkpoints/<stage>/<input_id>/step-….json``         a checkpoint of work in progress
``leases/<stage>/<input_id>.json``                     who works on it
``quarantine/<stage>/<input_id>-…/``                   manifests that were set aside, with why
``runs/``, ``published/``                              records and releases, as in a local one
"""

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model.json_files import parse_json
from tasks.store.manifest import MANIFEST_NAME, FileEntry
from tasks.store.remote.location import parse_location
from tasks.store.remote.objects import ObjectStore, Stored
from tasks.store.remote.s3_objects import S3Objects
from tasks.store.threads import in_threads

CURRENT_RELEASE = "published/current.json"
RELEASES = "published/releases/"
SWITCHES = "published/switches/"

_SET_ASIDE = "set_aside"


@dataclass(frozen=True)
class Bucket:
    """The truth about a workspace in object storage.

    Attributes:
        url: ``s3://bucket/prefix``.
    """

    url: str

    @property
    def objects(self) -> ObjectStore:
        """Its objects, by the keys above."""
        return S3Objects(parse_location(self.url))

    def manifest(self, stage: str, input_id: str) -> Stored | None:
        """The manifest as it lies there, unverified; None where nothing is committed."""
        found = self.objects.read(manifest_key(stage, input_id))
        return None if found is None or _is_set_aside(found) else found

    def commit(self, stage: str, input_id: str, manifest: bytes) -> bool:
        """Make this the manifest of the request unless there is one; False where there is."""
        key = manifest_key(stage, input_id)
        if self.objects.create(key, manifest) is not None:
            return True
        found = self.objects.read(key)
        if found is None or not _is_set_aside(found):
            return False
        return self.objects.replace(key, manifest, found.tag) is not None

    def set_aside(
        self, stage: str, input_id: str, seen: Stored, reasons: Sequence[str]
    ) -> str | None:
        """Take back the commit that was `seen`; the manifest and why are kept in quarantine.

        Returns:
            Where it lies now; None where another process was first.
        """
        place = f"quarantine/{stage}/{input_id}-{secrets.token_hex(4)}"
        about = {"path": f"artifacts/{stage}/{input_id}", "reasons": list(reasons)}
        self.objects.put(f"{place}/{MANIFEST_NAME}", seen.raw)
        self.objects.put(f"{place}/reason.json", json.dumps(about).encode())
        if self.take_back(stage, input_id, seen, place):
            return place
        self.objects.delete([f"{place}/{MANIFEST_NAME}", f"{place}/reason.json"])
        return None

    def take_back(self, stage: str, input_id: str, seen: Stored, place: str = "") -> bool:
        """Undo the commit that was `seen`; False where another process was first.

        The key is not deleted but marked, since a deletion cannot be made to depend on what is
        there.
        """
        mark = json.dumps({_SET_ASIDE: place}).encode()
        return bool(self.objects.replace(manifest_key(stage, input_id), mark, seen.tag))

    def requests(self, root: str, stage: str = "*") -> Iterator[tuple[str, str]]:
        """(stage, input_id) of all requests that have anything below `root`, committed or not."""
        stages = sorted(self.objects.folders(f"{root}/")) if stage == "*" else [stage]
        for name in stages:
            for input_id in sorted(self.objects.folders(f"{root}/{name}/")):
                yield name, input_id

    def committed(self, stage: str = "*") -> Iterator[tuple[str, str]]:
        """(stage, input_id) of the requests that are answered, sorted."""
        names = list(self.requests("artifacts", stage))
        found = in_threads(lambda name: self.manifest(*name), names)
        return (name for name, manifest in zip(names, found, strict=True) if manifest)

    def run_records(self) -> Iterator[tuple[str, bytes]]:
        """URL and content of the record of each run, oldest first."""
        listed = [found for found in self.objects.listed("runs/") if found.key.count("/") == 1]
        listed.sort(key=lambda found: (found.changed_at_s, found.key))
        records = in_threads(lambda found: self.objects.read(found.key), listed)
        for found, record in zip(listed, records, strict=True):
            if record:
                yield f"{self.url}/{found.key}", record.raw

    def release_records(self, num_newest: int) -> Iterator[tuple[str, bytes]]:
        """URL and content of the pointer to the current release, and of the newest releases."""
        listed = sorted((found.key for found in self.objects.listed(RELEASES)), reverse=True)
        for key in (CURRENT_RELEASE, *listed[:num_newest]):
            found = self.objects.read(key)
            if found:
                yield f"{self.url}/{key}", found.raw


def manifest_key(stage: str, input_id: str) -> str:
    """Whose presence is the commit."""
    return f"artifacts/{stage}/{input_id}/{MANIFEST_NAME}"


def data_prefix(stage: str, input_id: str) -> str:
    """Where the files of a request lie, committed or not."""
    return f"artifacts/{stage}/{input_id}/data/"


def data_key(stage: str, input_id: str, entry: FileEntry) -> str:
    """Where a file lies: another content has another key, so nothing is ever overwritten."""
    return f"{data_prefix(stage, input_id)}{entry.sha256}/{entry.name}"


def lease_key(stage: str, input_id: str) -> str:
    """Where it stands who works on a request."""
    return f"leases/{stage}/{input_id}.json"


def _is_set_aside(found: Stored) -> bool:
    if len(found.raw) > 1_000:  # a manifest is larger; let its reader judge it
        return False
    try:
        values = parse_json(found.raw)
    except ValueError:
        return False
    return isinstance(values, dict) and list(values) == [_SET_ASIDE]
