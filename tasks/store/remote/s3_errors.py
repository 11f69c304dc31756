"""Says in plain words what went wrong between us and an S3 server; repeats no secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.store.errors import StorageError, StorageRefusedError

_DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "401",
    "403",
}
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


@contextmanager
def reaching(where: str) -> Iterator[None]:
    """Turn what botocore raises into our errors.

    Args:
        where: what was wanted, for the message: a URL without secrets.

    Raises:
        StorageRefusedError: no credentials, no permission, or no such bucket.
        StorageError: anything else that the server or the way to it did.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError  # what a body that is being read may raise

    try:
        yield
    except ClientError as error:
        raise _of_answer(where, error.response) from None
    except (BotoCoreError, HTTPError) as error:
        raise _of_client(where, type(error).__name__) from None


def status_of(error: Any) -> int:
    """The HTTP status of a ``ClientError``."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _of_answer(where: str, response: Any) -> StorageError:
    code = str(response.get("Error", {}).get("Code", "unknown"))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "RequestTimeTooSkewed":
        return StorageError(f"{where}: this machine's clock is wrong: set it by a time server")
    if code in _DENIED or status in (401, 403):
        return StorageRefusedError(
            f"{where}: not permitted ({code}): check {_CREDENTIALS} and what they permit"
        )
    if code == "NoSuchBucket":
        return StorageRefusedError(
            f"{where}: there is no such bucket: make it, or check its name and AWS_ENDPOINT_URL"
        )
    if code == "NotImplemented" or status == 501:
        return StorageError(
            f"{where}: the server cannot do what a workspace needs ({code}): use one with "
            "conditional writes"
        )
    return StorageError(f"{where}: the server fails ({code}, {status}): try again later")


def _of_client(where: str, kind: str) -> StorageError:
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
        return StorageRefusedError(f"{where}: there are no credentials: set {_CREDENTIALS}")
    if kind == "ProfileNotFound":
        return StorageRefusedError(f"{where}: there is no such profile: check AWS_PROFILE")
    if kind == "ParamValidationError":
        return StorageError(
            f'{where}: the installed botocore is too old: pip install -U "corpusmith[s3]"'
        )
    return StorageError(
        f"{where}: cannot be reached ({kind}): check the network and AWS_ENDPOINT_URL"
    )
