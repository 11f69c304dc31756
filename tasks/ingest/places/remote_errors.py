"""Says in the user's words what went wrong on the way to a remote file."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from model.errors import CorpusmithError, RequestError
from tasks.ingest.places.remote_uris import HTTP, Uri, shown
from tasks.ingest.places.source_errors import SourceChangedError, SourceUnreachableError
from tasks.redaction import without_secrets

_MAX_SHOWN = 200
# Classes of the libraries below fsspec, by name, so that none of them need be imported.
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}
_UNREACHABLE = {
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectionError",
    "HTTPClientError",
    "ResponseStreamingError",
    "TimeoutError",
}
_BUSY = {errno.EBUSY, errno.EREMOTEIO, errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET}


class Trouble(Enum):
    """Kinds of failure that call for different things to be done."""

    ABSENT = auto()
    DENIED = auto()
    NO_CREDENTIALS = auto()
    UNREACHABLE = auto()
    CHANGED = auto()
    OTHER = auto()


def diagnose(error: BaseException) -> Trouble:
    """What an exception of fsspec, or of a library below it, comes down to."""
    causes = [error]
    while cause := causes[-1].__cause__:
        causes.append(cause)
    found = [_diagnose_one(cause) for cause in reversed(causes)]
    return next((trouble for trouble in found if trouble is not Trouble.OTHER), Trouble.OTHER)


def _diagnose_one(error: BaseException) -> Trouble:
    names = {base.__name__ for base in type(error).__mro__}
    status = getattr(error, "status", None)  # of an HTTP response
    if "FileExpired" in names:
        return Trouble.CHANGED
    if names & _NO_CREDENTIALS:
        return Trouble.NO_CREDENTIALS
    if status in (401, 403) or isinstance(error, PermissionError):
        return Trouble.DENIED
    if status in (404, 410) or isinstance(error, FileNotFoundError):
        return Trouble.ABSENT
    is_busy = isinstance(status, int) and (status >= 500 or status in (408, 429))
    if names & _UNREACHABLE or is_busy or getattr(error, "errno", None) in _BUSY:
        return Trouble.UNREACHABLE
    return Trouble.OTHER


@contextmanager
def refusing(uri: Uri) -> Iterator[None]:
    """Turn what fsspec raises into a refusal of the request.

    Raises:
        RequestError: one line without secrets.
    """
    try:
        yield
    except CorpusmithError:
        raise
    except Exception as error:
        raise RequestError(f"path {str(uri)!r} {explain(error, uri)}") from None


@contextmanager
def reading(uri: Uri) -> Iterator[None]:
    """Turn what fsspec raises into what any reader of files expects.

    Raises:
        FileNotFoundError: the file is gone.
        PermissionError: it may not be read.
        OSError: it cannot be read for a reason of its own.
        SourceChangedError: another one took its place.
        SourceUnreachableError: it may well be readable another time.
    """
    try:
        yield
    except CorpusmithError:
        raise
    except Exception as error:
        trouble = diagnose(error)
        message = f"{shown(str(uri))} {explain(error, uri)}"
        if trouble is Trouble.CHANGED:
            raise SourceChangedError(message) from None
        if trouble is Trouble.ABSENT:
            raise FileNotFoundError(errno.ENOENT, message) from None
        if trouble is Trouble.DENIED:
            raise PermissionError(errno.EACCES, message) from None
        if trouble is Trouble.OTHER and isinstance(error, OSError):
            raise OSError(errno.EINVAL, message) from None
        raise SourceUnreachableError(message) from None


def explain(error: BaseException, uri: Uri) -> str:
    """The end of a sentence about the URI: what is wrong, and what to do."""
    is_s3 = uri.protocol.startswith("s3")
    match diagnose(error):
        case Trouble.ABSENT:
            where = "bucket, prefix and AWS_ENDPOINT_URL" if is_s3 else "its spelling"
            return f"does not exist: check {where}"
        case Trouble.DENIED:
            return f"may not be read: check {_credentials(uri)} and what they permit"
        case Trouble.NO_CREDENTIALS:
            public = " (for a public bucket, FSSPEC_S3_ANON=true)" if is_s3 else ""
            return f"cannot be read without credentials: set {_credentials(uri)}{public}"
        case Trouble.UNREACHABLE:
            also = " and AWS_ENDPOINT_URL" if is_s3 else ""
            return f"cannot be reached: check the network{also}, or try again later"
        case Trouble.CHANGED:
            return "changed while it was being read: run again when it is complete"
    first_line = next(iter(str(error).splitlines()), type(error).__name__)
    return f"cannot be used: {without_secrets(first_line)[:_MAX_SHOWN]}"


def _credentials(uri: Uri) -> str:
    if uri.protocol.startswith("s3"):
        return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return (
        "the credentials in ~/.netrc" if uri.protocol in HTTP else "the environment's credentials"
    )
