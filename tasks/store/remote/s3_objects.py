"""Object storage over botocore: credentials and server as the AWS_* environment names them."""

import base64
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from model.errors import ArtifactError, RequestError
from tasks.store.remote.location import S3Location
from tasks.store.remote.objects import Listed, Stored, UnfinishedUpload
from tasks.store.remote.s3_errors import reaching, status_of
from tasks.store.threads import in_threads

PART_BYTES = 16 * 2**20  # held in memory, one by each thread that uploads
CHUNK_BYTES = 2**20
_MAX_PARTS = 9_000  # S3 allows 10,000
_CONFLICT_TRIES = 10
_CONFLICT_WAIT_S = 0.1
_PATIENCE = {"total_max_attempts": 6}  # waits up to 30 s in all
_ABSENT, _CONFLICT, _PRECONDITION = 404, 409, 412


class S3Objects:
    """The objects of one workspace in a bucket; see `ObjectStore`."""

    def __init__(self, location: S3Location, *, part_bytes: int = PART_BYTES) -> None:
        """Args:
        location: of the workspace.
        part_bytes: of files larger than this, each part is sent by itself.

        Raises:
            RequestError: botocore is not installed.
        """
        self._location = location
        self._part_bytes = part_bytes

    @property
    def endpoint(self) -> str:
        """The server's URL."""
        return str(self._client.meta.endpoint_url)

    def read(self, key: str) -> Stored | None:
        """See `ObjectStore.read`."""
        with reaching(self._where(key)):
            answer = self._unless_absent(self._client.get_object, Key=self._key(key))
            return Stored(answer["Body"].read(), answer["ETag"]) if answer else None

    def chunks(self, key: str) -> Iterator[bytes] | None:
        """See `ObjectStore.chunks`."""
        with reaching(self._where(key)):
            answer = self._unless_absent(self._client.get_object, Key=self._key(key))
        return self._chunks(key, answer["Body"]) if answer else None

    def size_of(self, key: str) -> int | None:
        """See `ObjectStore.size_of`."""
        with reaching(self._where(key)):
            answer = self._unless_absent(self._client.head_object, Key=self._key(key))
            return int(answer["ContentLength"]) if answer else None

    def put(self, key: str, raw: bytes) -> None:
        """See `ObjectStore.put`."""
        with reaching(self._where(key)):
            self._client.put_object(**self._named(key), Body=raw, **_checksum_of(raw))

    def create(self, key: str, raw: bytes) -> str | None:
        """See `ObjectStore.create`."""
        return self._put_if(key, raw, {"IfNoneMatch": "*"})

    def replace(self, key: str, raw: bytes, tag: str) -> str | None:
        """See `ObjectStore.replace`."""
        return self._put_if(key, raw, {"IfMatch": tag})

    def upload(self, key: str, path: Path, sha256: str) -> None:
        """See `ObjectStore.upload`."""
        num_bytes = path.stat().st_size
        with path.open("rb") as file, reaching(self._where(key)):
            if num_bytes <= self._part_bytes:
                checksum = _spelled(bytes.fromhex(sha256))
                self._client.put_object(**self._named(key), Body=file, **checksum)
            else:
                self._upload_in_parts(key, file, path, num_bytes, sha256)

    def delete(self, keys: Iterable[str]) -> None:
        """See `ObjectStore.delete`."""
        with reaching(self._where("")):
            in_threads(self._delete_one, list(keys))

    def listed(self, prefix: str) -> Iterator[Listed]:
        """See `ObjectStore.listed`."""
        for page in self._pages("list_objects_v2", Prefix=self._key(prefix)):
            for found in page.get("Contents", []):
                name = self._name(found["Key"])
                yield Listed(name, int(found["Size"]), found["LastModified"].timestamp())

    def folders(self, prefix: str) -> list[str]:
        """See `ObjectStore.folders`."""
        full = self._key(prefix)
        return [
            found["Prefix"][len(full) :].rstrip("/")
            for page in self._pages("list_objects_v2", Prefix=full, Delimiter="/")
            for found in page.get("CommonPrefixes", [])
        ]

    def unfinished(self) -> Iterator[UnfinishedUpload]:
        """See `ObjectStore.unfinished`."""
        for page in self._pages("list_multipart_uploads", Prefix=self._key("")):
            for found in page.get("Uploads", []):
                name, begun = self._name(found["Key"]), found["Initiated"]
                yield UnfinishedUpload(name, found["UploadId"], begun.timestamp())

    def abandon(self, upload: UnfinishedUpload) -> None:
        """See `ObjectStore.abandon`."""
        with reaching(self._where(upload.key)):
            self._unless_absent(
                self._client.abort_multipart_upload,
                Key=self._key(upload.key),
                UploadId=upload.upload_id,
            )

    @property
    def _client(self) -> Any:
        return _client_of(os.getpid(), _account())

    def _key(self, name: str) -> str:
        return self._location.key(name)

    def _name(self, key: str) -> str:
        return key[len(self._location.key("")) :]

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self._location.bucket, "Key": self._key(key)}

    def _where(self, key: str) -> str:
        return f"{self._location}/{key}".rstrip("/")

    def _delete_one(self, key: str) -> None:
        """Not many in one request: servers disagree on the checksum that needs."""
        self._unless_absent(self._client.delete_object, Key=self._key(key))

    def _pages(self, operation: str, **arguments: Any) -> Iterator[Any]:
        with reaching(self._where("")):
            paginator = self._client.get_paginator(operation)
            yield from paginator.paginate(Bucket=self._location.bucket, **arguments)

    def _unless_absent(self, ask: Callable[..., Any], **arguments: Any) -> Any:
        """The answer; None where the object, not the bucket, is absent."""
        from botocore.exceptions import ClientError

        try:
            return ask(Bucket=self._location.bucket, **arguments)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if status_of(error) == _ABSENT and code != "NoSuchBucket":
                return None
            raise

    def _put_if(self, key: str, raw: bytes, condition: dict[str, str]) -> str | None:
        """The new tag; None where the condition does not hold.

        An answer may get lost and the client ask again, so that our own write stands in our way:
        the object that is there then is the very one we wrote.
        """
        with reaching(self._where(key)):
            tag = self._put_unless_conflicting(key, raw, condition)
        if tag is None:
            found = self.read(key)
            return found.tag if found and found.raw == raw else None
        return tag

    def _put_unless_conflicting(
        self, key: str, raw: bytes, condition: dict[str, str]
    ) -> str | None:
        from botocore.exceptions import ClientError

        arguments = {**self._named(key), **_checksum_of(raw), **condition}
        for trial in range(1, _CONFLICT_TRIES + 1):
            try:
                return str(self._client.put_object(Body=raw, **arguments)["ETag"])
            except ClientError as error:
                status, code = status_of(error), error.response.get("Error", {}).get("Code")
                if status == _PRECONDITION or (status == _ABSENT and code != "NoSuchBucket"):
                    return None
                if status != _CONFLICT or trial == _CONFLICT_TRIES:
                    raise
            time.sleep(_CONFLICT_WAIT_S * trial)  # another write of the key is in flight
        raise AssertionError("the last trial returns or raises")

    def _upload_in_parts(
        self, key: str, file: BinaryIO, path: Path, num_bytes: int, sha256: str
    ) -> None:
        named = self._named(key)
        begun = self._client.create_multipart_upload(**named, ChecksumAlgorithm="SHA256")
        named["UploadId"] = begun["UploadId"]
        try:
            parts, found = self._send_parts(file, named, num_bytes)
            if found != sha256:
                raise ArtifactError(f"{path} changed while it was sent to {self._where(key)}")
            self._client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        except BaseException:
            self._unless_absent(
                self._client.abort_multipart_upload,
                Key=named["Key"],
                UploadId=named["UploadId"],
            )
            raise

    def _send_parts(
        self, file: BinaryIO, named: dict[str, str], num_bytes: int
    ) -> tuple[list[dict[str, Any]], str]:
        """The parts as the server wants them named, and the SHA-256 of all that was sent."""
        digest = hashlib.sha256()
        parts: list[dict[str, Any]] = []
        part_bytes = max(self._part_bytes, -(-num_bytes // _MAX_PARTS))
        while part := file.read(part_bytes):
            digest.update(part)
            about = {"PartNumber": len(parts) + 1}
            answer = self._client.upload_part(**named, **about, Body=part, **_checksum_of(part))
            parts.append({**about, "ETag": answer["ETag"], **_checksum_of(part)})
        return parts, digest.hexdigest()

    def _chunks(self, key: str, body: Any) -> Iterator[bytes]:
        with reaching(self._where(key)):
            try:
                yield from body.iter_chunks(CHUNK_BYTES)
            finally:
                body.close()


@cache
def _client_of(process_id: int, account: tuple[str, ...]) -> Any:
    """One for each process: connections must not be shared after a fork. Costs 0.2 s."""
    try:
        from botocore.config import Config
        from botocore.session import Session
    except ImportError:
        raise RequestError(
            'a workspace on s3:// needs botocore: pip install "corpusmith[s3]"'
        ) from None
    config = Config(
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=32,
        retries={"mode": "standard", **({} if "AWS_MAX_ATTEMPTS" in os.environ else _PATIENCE)},
    )
    session = Session()
    session.register_component("data_loader", _loader())
    with reaching("s3://"):
        return session.create_client("s3", config=config)


@cache
def _loader() -> Any:
    """Knows what S3 can do; read once, also for what is forked from this process."""
    from botocore.loaders import create_loader

    return create_loader()


def _account() -> tuple[str, ...]:
    """What the environment says of server and credentials."""
    return tuple(f"{name}={os.environ[name]}" for name in os.environ if name.startswith("AWS_"))


def _checksum_of(raw: bytes) -> dict[str, str]:
    return _spelled(hashlib.sha256(raw).digest())


def _spelled(sha256: bytes) -> dict[str, str]:
    """As the server checks it before it keeps what was sent."""
    return {"ChecksumSHA256": base64.b64encode(sha256).decode()}
