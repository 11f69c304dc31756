"""Finds, and deletes if asked, what nothing refers to in a bucket, and in this machine's copies."""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.store.garbage import Garbage, Key, delete, needed_artifacts, old_staging, sized
from tasks.store.lease import is_held, try_lease
from tasks.store.manifest import MANIFEST_NAME, parse_manifest
from tasks.store.remote.bucket import data_key, data_prefix, manifest_key
from tasks.store.remote.checkpoints import CHECKPOINTS
from tasks.store.remote.lookup import BucketLookup
from tasks.store.remote.objects import Listed, Stored, UnfinishedUpload
from tasks.store.run_records import RUNNING, state_of

_DAY_S = 86_400.0


@dataclass(frozen=True)
class Rubbish:
    """Objects that go together, and the request they belong to, if it may be worked on.

    Attributes:
        name: what the keys have in common.
        keys: of the objects.
        num_bytes: of all of them.
        request: (stage, input_id).
        is_committed: whether the manifest must be taken back first.
    """

    name: str
    keys: tuple[str, ...]
    num_bytes: int
    request: Key | None
    is_committed: bool = False


def collect(
    lookup: BucketLookup, *, older_than_days: float, keep_releases: int, dry_run: bool
) -> list[tuple[Path | str, int]]:
    """What nothing refers to, by URL or local folder, with its bytes; deleted unless `dry_run`.

    That is: files of requests that were never committed, and others that no manifest names;
    checkpoints of work that nobody goes on with; artifacts no release or recent run needs; what
    was set aside; uploads of large files that broke off; here, copies of what is not in the
    bucket any more, and work that stopped. Ages are by the clocks of this machine and the server.

    Raises:
        ArtifactError: a kept release or a run record cannot be read; nothing is deleted.
        StorageError: the server cannot be reached.
    """
    before_s = time.time() - older_than_days * _DAY_S
    objects = lookup.bucket.objects
    done: list[tuple[Path | str, int]] = []
    found = find(lookup, before_s, keep_releases)
    broken_off = list(_broken_off(lookup, before_s))
    local = list(_local(lookup, before_s, {each.request for each in found if each.is_committed}))
    for rubbish in found:
        if dry_run or _delete(lookup, rubbish):
            done.append((f"{lookup.bucket.url}/{rubbish.name}", rubbish.num_bytes))
    for upload in broken_off:
        if not dry_run:
            objects.abandon(upload)
        done.append((f"{lookup.bucket.url}/{upload.key} (unfinished)", 0))
    for garbage in local:
        told = sized(garbage)
        if dry_run or delete(lookup, garbage):
            done.append(told)
    return done


def find(lookup: BucketLookup, before_s: float, keep_releases: int) -> list[Rubbish]:
    """What may go from the bucket, of what was there at `before_s` already."""
    needed: set[Key] | None = None
    if not _is_busy(lookup, before_s):
        needed = needed_artifacts(lookup, lookup.workspace.runs(), keep_releases)
    by_request = _by_request(lookup)
    found = [*_set_aside(lookup)]
    for request, listed in by_request.items():
        if not is_held(lookup.seat(*request).newest()):
            found += _of_request(lookup, request, listed, needed)
    young = {item.key for item in lookup.bucket.objects.listed("") if item.changed_at_s > before_s}
    return [each for each in found if each.keys and not young.intersection(each.keys)]


def _is_busy(lookup: BucketLookup, before_s: float) -> bool:
    """Whether work is going on anywhere, between whose stages nothing is held.

    A run on another machine that never said how it ended counts only while it is young.
    """
    if lookup.is_at_work():
        return True
    running = {
        str(record["run_id"])
        for record in lookup.workspace.runs()
        if "run_id" in record and state_of(record) == RUNNING
    }
    return any(
        item.changed_at_s > before_s
        for item in lookup.bucket.objects.listed("runs/")
        if item.key.removeprefix("runs/").removesuffix(".json") in running
    )


def _by_request(lookup: BucketLookup) -> dict[Key, list[Listed]]:
    found: dict[Key, list[Listed]] = defaultdict(list)
    for root in ("artifacts/", f"{CHECKPOINTS}/"):
        for item in lookup.bucket.objects.listed(root):
            _, stage, input_id, _ = item.key.split("/", 3)
            found[stage, input_id].append(item)
    return found


def _of_request(
    lookup: BucketLookup, request: Key, listed: list[Listed], needed: set[Key] | None
) -> Iterator[Rubbish]:
    stage, input_id = request
    manifest = lookup.bucket.manifest(stage, input_id)
    if manifest is None:
        yield _rubbish(f"artifacts/{stage}/{input_id}", listed, request)
        return
    if needed is not None and request not in needed:
        name = f"artifacts/{stage}/{input_id}"
        yield _rubbish(name, listed, request, is_committed=True)
        return
    named = _named(stage, input_id, manifest)
    stray = [item for item in listed if item.key not in named]
    yield _rubbish(data_prefix(stage, input_id) + "(not in the manifest)", stray, request)


def _set_aside(lookup: BucketLookup) -> Iterator[Rubbish]:
    by_place: dict[str, list[Listed]] = defaultdict(list)
    for item in lookup.bucket.objects.listed("quarantine/"):
        by_place[item.key.rpartition("/")[0]].append(item)
    for place, listed in by_place.items():
        yield _rubbish(place, listed, None)


def _rubbish(
    name: str, listed: list[Listed], request: Key | None, *, is_committed: bool = False
) -> Rubbish:
    keys = tuple(item.key for item in listed)
    return Rubbish(name, keys, sum(item.num_bytes for item in listed), request, is_committed)


def _delete(lookup: BucketLookup, rubbish: Rubbish) -> bool:
    """Delete unless someone works on the request now; an artifact's commit is taken back first."""
    objects = lookup.bucket.objects
    if rubbish.request is None:
        objects.delete(rubbish.keys)
        return True
    stage, input_id = rubbish.request
    lease = try_lease(lookup.seat(stage, input_id), stage, input_id)
    if lease is None:
        return False
    try:
        manifest = lookup.bucket.manifest(stage, input_id)
        if rubbish.is_committed and manifest:
            lookup.bucket.take_back(stage, input_id, manifest)
            manifest = None
        kept = _named(stage, input_id, manifest) if manifest else set()  # committed meanwhile
        last = manifest_key(stage, input_id)
        objects.delete(key for key in rubbish.keys if key not in kept | {last})
        objects.delete(key for key in rubbish.keys if key == last and key not in kept)
    finally:
        lease.release()
    return True


def _named(stage: str, input_id: str, manifest: Stored) -> set[str]:
    """The keys of a committed artifact."""
    last = manifest_key(stage, input_id)
    files = parse_manifest(manifest.raw, last).files
    return {data_key(stage, input_id, entry) for entry in files} | {last}


def _broken_off(lookup: BucketLookup, before_s: float) -> Iterator[UnfinishedUpload]:
    for upload in lookup.bucket.objects.unfinished():
        if upload.begun_at_s <= before_s:
            yield upload


def _local(lookup: BucketLookup, before_s: float, gone: set[Key | None]) -> Iterator[Garbage]:
    """What stopped here, and copies of what is not in the bucket any more, or goes now."""
    yield from old_staging(lookup, before_s)
    for folder in sorted(lookup.workspace.artifacts.glob("*/*")):
        key = (folder.parent.name, folder.name)
        is_old = (folder / MANIFEST_NAME).exists() and folder.stat().st_mtime <= before_s
        if is_old and (key in gone or lookup.bucket.manifest(*key) is None):
            yield Garbage(folder, key)
