"""Moves files between a folder and a bucket, several at a time, checked by SHA-256 on the way."""

import hashlib
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from tasks.store.atomic import PART_SUFFIX, fsync_file
from tasks.store.disk import explaining_full_disk
from tasks.store.errors import StorageError
from tasks.store.manifest import FileEntry
from tasks.store.remote.bucket import Bucket, data_key
from tasks.store.remote.objects import ObjectStore
from tasks.store.threads import in_threads

_TRIES = 4
_WAIT_S = 0.5


def send(
    bucket: Bucket, stage: str, input_id: str, folder: Path, files: Sequence[FileEntry]
) -> None:
    """Upload the files of a request that are not in the bucket yet, under their hashes.

    A file is there whole or not at all, and its key holds its hash: the right size is enough to
    know that an earlier attempt has sent it.

    Raises:
        StorageError: the server cannot be reached; what was sent stays.
        ArtifactError: a file changed since it was hashed.
    """
    objects = bucket.objects

    def send_one(entry: FileEntry) -> None:
        key = data_key(stage, input_id, entry)
        if objects.size_of(key) != entry.bytes:
            objects.upload(key, folder / entry.name, entry.sha256)

    in_threads(send_one, files)


def absent(bucket: Bucket, stage: str, input_id: str, files: Sequence[FileEntry]) -> list[str]:
    """Which of the files are not in the bucket in their size, one line each. Reads none of them.

    Raises:
        StorageError: the server cannot be reached.
    """
    objects = bucket.objects

    def flaw(entry: FileEntry) -> str | None:
        num_bytes = objects.size_of(data_key(stage, input_id, entry))
        if num_bytes is None:
            return f"{entry.name} is missing"
        if num_bytes != entry.bytes:
            return f"{entry.name} has {num_bytes} bytes instead of {entry.bytes}"
        return None

    return [found for found in in_threads(flaw, files) if found]


def fetch(
    bucket: Bucket, stage: str, input_id: str, folder: Path, files: Sequence[FileEntry]
) -> dict[str, str]:
    """Download the files to below `folder`, read-only; each appears whole under its name.

    Returns:
        What is wrong with those that did not come as they were sent, by name.

    Raises:
        StorageError: the server cannot be reached, or breaks off again and again.
        DiskFullError: there is no room.
    """
    objects = bucket.objects

    def fetch_one(entry: FileEntry) -> str | None:
        return _fetch(objects, data_key(stage, input_id, entry), folder / entry.name, entry)

    flaws = in_threads(fetch_one, files)
    return {entry.name: flaw for entry, flaw in zip(files, flaws, strict=True) if flaw}


def damage(bucket: Bucket, stage: str, input_id: str, files: Sequence[FileEntry]) -> list[str]:
    """What is wrong with the files in the bucket, one line each. Reads every byte, keeps none.

    Raises:
        StorageError: the server cannot be reached, or breaks off again and again.
    """
    objects = bucket.objects

    def flaw(entry: FileEntry) -> str | None:
        return _patiently(objects, data_key(stage, input_id, entry), None, entry)

    return [found for found in in_threads(flaw, files) if found]


def _fetch(objects: ObjectStore, key: str, target: Path, entry: FileEntry) -> str | None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{secrets.token_hex(6)}{PART_SUFFIX}")
    try:
        with explaining_full_disk(target, entry.bytes):
            flaw = _patiently(objects, key, part, entry)
        if flaw is None:
            fsync_file(part)
            part.chmod(0o444)
            part.replace(target)
        return flaw
    finally:
        part.unlink(missing_ok=True)


def _patiently(objects: ObjectStore, key: str, part: Path | None, entry: FileEntry) -> str | None:
    """Read again where the way breaks off; once more where the content is another."""
    flaw: str | None = None
    for trial in range(1, _TRIES + 1):
        try:
            before, flaw = flaw, _stream(objects, key, part, entry)
        except StorageError:
            if trial == _TRIES:
                raise
            time.sleep(_WAIT_S * trial)
            continue
        if flaw is None or flaw == before or flaw.endswith("is missing"):
            return flaw
    return flaw


def _stream(objects: ObjectStore, key: str, part: Path | None, entry: FileEntry) -> str | None:
    chunks = objects.chunks(key)
    if chunks is None:
        return f"{entry.name} is missing"
    digest, num_bytes = hashlib.sha256(), 0
    with Path(part or os.devnull).open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            num_bytes += len(chunk)
            file.write(chunk)
    if num_bytes != entry.bytes:
        return f"{entry.name} has {num_bytes} bytes instead of {entry.bytes}"
    if digest.hexdigest() != entry.sha256:
        return f"{entry.name} has other content than was committed"
    return None
