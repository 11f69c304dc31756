"""Opens a workspace in a bucket: is it there, of our format, and can the server do what we need?"""

import secrets
from pathlib import Path

from model.errors import RequestError
from model.json_files import parse_json
from tasks.store.errors import StorageRefusedError
from tasks.store.remote.bucket import Bucket
from tasks.store.remote.location import mirror_folder, parse_location, state_folder
from tasks.store.remote.objects import ObjectStore
from tasks.store.remote.s3_objects import S3Objects

FORMAT_FILE = "workspace.json"


def locate(text: str) -> tuple[Path, Bucket]:
    """The local side and the bucket of the workspace that an address names; asks nobody.

    Raises:
        RequestError: it is no address, or botocore is not installed.
    """
    location = parse_location(text)
    return mirror_folder(location, S3Objects(location).endpoint), Bucket(str(location))


def state_of(bucket: Bucket) -> Path:
    """The folder of the orchestrator's and the tracker's state, for this user and workspace."""
    location = parse_location(bucket.url)
    return state_folder(location, S3Objects(location).endpoint)


def read_format(bucket: Bucket) -> bytes | None:
    """The file that says of which format the workspace is; None where there is no workspace.

    Raises:
        RequestError: we may not look, or there is no such bucket.
        StorageError: the server cannot be reached.
    """
    try:
        found = bucket.objects.read(FORMAT_FILE)
    except StorageRefusedError as error:
        raise RequestError(f"workspace {error}") from None
    return found.raw if found else None


def found_workspace(bucket: Bucket, content: bytes) -> None:
    """Make the bucket's prefix a workspace, after a look whether the server can hold one.

    Raises:
        RequestError: we may not write, or the server ignores conditions.
        StorageError: the server cannot be reached.
    """
    try:
        problem = ignored_condition(bucket.objects)
        if problem is None:
            bucket.objects.create(FORMAT_FILE, content)
    except StorageRefusedError as error:
        raise RequestError(f"workspace {error}") from None
    if problem:
        raise RequestError(f"workspace {bucket.url}: {problem}")


def ignored_condition(objects: ObjectStore) -> str | None:
    """What of conditional writes the server does not do, tried on an object made for it.

    Without them two workers would overwrite each other's results.

    Raises:
        StorageError: the server cannot be reached or does not let us write.
    """
    key = f".probe-{secrets.token_hex(8)}"
    advice = "use one that honours it, such as Amazon S3 or MinIO"
    try:
        tag = objects.create(key, b"first")
        if tag is None:
            return f"the server refuses to write a new object with If-None-Match: {advice}"
        if objects.create(key, b"second") is not None:
            return f"the server ignores If-None-Match when it writes: {advice}"
        newer = objects.replace(key, b"third", tag)
        if newer is None:
            return f"the server refuses to replace an object with If-Match: {advice}"
        if objects.replace(key, b"fourth", tag) is not None:
            return f"the server ignores If-Match when it writes: {advice}"
    finally:
        objects.delete([key])
    return None


def same_format(raw: bytes, version: int, where: str) -> None:
    """See that a workspace is of our format.

    Raises:
        RequestError: it is of another, or the file is damaged.
    """
    try:
        found = parse_json(raw)["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{where} is damaged: choose another workspace") from error
    if found != version:
        raise RequestError(
            f"{where} has format {found}, this corpusmith needs format {version}: choose another "
            "workspace or another corpusmith"
        )
