"""Reads the address of a workspace in object storage, and says where its local folders lie."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from model.errors import RequestError

SCHEME = "s3://"
CACHE_VARIABLE = "CORPUSMITH_CACHE"

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", re.IGNORECASE)
_PART = re.compile(r"[^\x00-\x1f\x7f/?#]+")
_AMAZON = re.compile(r"(^|\.)amazonaws\.com(\.cn)?$")


@dataclass(frozen=True)
class S3Location:
    """A bucket, and the prefix in it that is the workspace; an empty one for the whole bucket."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, name: str) -> str:
        """The key in the bucket of an object that the workspace calls `name`."""
        return f"{self.prefix}/{name}" if self.prefix else name


def is_remote(location: str) -> bool:
    """Whether this is the address of a workspace in object storage; one slash may be lacking,
    as `pathlib` writes it."""
    return location.startswith("s3:/")


def parse_location(text: str) -> S3Location:
    """The place that ``s3://bucket/prefix`` names.

    Raises:
        RequestError: it is no such address; what it holds is not repeated where it may be secret.
    """
    bucket, _, prefix = text.removeprefix("s3:").lstrip("/").partition("/")
    parts = [part for part in prefix.split("/") if part]
    if "@" in bucket or ":" in bucket:
        raise RequestError(
            "workspace s3://: no user, password or port belongs into the address: "
            "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
        )
    if not _BUCKET.fullmatch(bucket):
        raise RequestError(f"workspace {text!r}: {bucket!r} is no bucket: give s3://BUCKET/PREFIX")
    if ".." in parts or "." in parts or not all(map(_PART.fullmatch, parts)):
        raise RequestError(f"workspace {text!r}: the prefix has parts that no name may be")
    return S3Location(bucket, "/".join(parts))


def mirror_folder(location: S3Location, endpoint: str) -> Path:
    """Where this machine keeps copies of what it uses of the workspace."""
    given = os.environ.get(CACHE_VARIABLE, "")
    base = Path(given).expanduser().absolute() if given else _base("XDG_CACHE_HOME", ".cache")
    return base / "workspaces" / _name(location, endpoint)


def state_folder(location: S3Location, endpoint: str) -> Path:
    """Where this machine keeps the orchestrator's and the tracker's state for the workspace."""
    return _base("XDG_STATE_HOME", ".local/state") / "workspaces" / _name(location, endpoint)


def _base(variable: str, default: str) -> Path:
    given = Path(os.environ.get(variable, ""))
    if given.is_absolute():
        return given / "corpusmith"
    try:
        return Path.home() / default / "corpusmith"
    except RuntimeError:
        raise RequestError(f"this user has no home: set {variable} to a folder") from None


def _name(location: S3Location, endpoint: str) -> str:
    """Readable, and another for another server; all of Amazon's have one name space."""
    host = urlsplit(endpoint).netloc.rpartition("@")[2]
    server = "" if _AMAZON.search(host.partition(":")[0]) else host
    digest = hashlib.sha256(f"{server} {location}".encode()).hexdigest()
    return f"{location.bucket}-{digest[:12]}"
