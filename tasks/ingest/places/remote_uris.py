"""Reads URIs that name sources, and refuses those with secrets in them."""

import re
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from model.errors import RequestError
from tasks.redaction import names_secret, names_user

VERSION_MARK = "?versionId="
HTTP = frozenset({"http", "https"})
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_FILE = frozenset({"file", "local"})
_S3 = frozenset({"s3", "s3a"})
_NO_USER = HTTP | _S3 | {"gs", "gcs"}  # elsewhere a name before @ is an account or a container
_SIGNATURE = re.compile(r"^sig$|signature$", re.IGNORECASE)


class Uri(NamedTuple):
    """A URI in two parts.

    Attributes:
        protocol: in lower case.
        rest: what follows ``://``, as it was written.
    """

    protocol: str
    rest: str

    @property
    def authority(self) -> str:
        """The bucket or host."""
        return self.rest.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.protocol}://{self.rest}"


def is_uri(text: str) -> bool:
    """Whether a text names its protocol, as in ``s3://bucket/prefix``; no local path does."""
    return _URI.match(text) is not None


def shown(location: str) -> str:
    """A location as part of one line: what cannot be printed is spelled out."""
    return location if location.isprintable() else repr(location)[1:-1]


def split_uri(text: str) -> Uri:
    """The parts of a URI that is known to be one."""
    match = _URI.fullmatch(text)
    assert match
    return Uri(match[1].lower(), match[2])


def parse_uri(text: str) -> Uri:
    """The URI in a user's words, in the one spelling by which its file is known.

    Raises:
        RequestError: it names no bucket or host, or carries a secret, which is not repeated.
    """
    uri = split_uri(text)
    _refuse_secrets(uri)
    if uri.protocol == "memory":
        return Uri(uri.protocol, uri.rest.lstrip("/"))
    if uri.protocol in HTTP:
        uri = Uri(uri.protocol, uri.rest.partition("#")[0])
    if uri.protocol in _NO_USER and not uri.authority.partition("?")[0]:
        raise RequestError(f"path {text!r} names no bucket or host: give it after the ://")
    if uri.protocol in _S3 and VERSION_MARK in uri.rest:
        raise RequestError(f"path {text!r} asks for a version: only the newest one can be read")
    return uri


def local_path(text: str) -> str:
    """The path in a file URI, percent signs decoded; any other text as it is.

    Raises:
        RequestError: the URI names a file of another host.
    """
    if not is_uri(text) or (uri := split_uri(text)).protocol not in _FILE:
        return text
    if uri.authority not in ("", "localhost"):
        raise RequestError("a file:// path names a host: write file:///folder/file or a plain path")
    path = uri.rest.removeprefix("localhost")
    return unquote(path, errors="surrogateescape")


def last_part(uri: Uri) -> str:
    """The name that a file goes by if nothing else is known of it."""
    if uri.protocol not in HTTP:
        return uri.rest.rstrip("/").rpartition("/")[2]
    path = uri.rest.partition("?")[0].rstrip("/")
    return unquote_to_bytes(path.rpartition("/")[2]).decode("utf-8", "backslashreplace")


def _refuse_secrets(uri: Uri) -> None:
    account, at, _ = uri.authority.rpartition("@")
    is_http = uri.protocol in HTTP
    if (
        ":" in account
        or (at and uri.protocol in _NO_USER)
        or (uri.protocol in _S3 and ":" in uri.authority and not uri.authority.startswith("arn:"))
        or (is_http and not _has_valid_port(uri))
        or names_user(uri.rest)  # of an address in the address
    ):
        raise RequestError(
            f"path {_without_account(uri)!r} carries a password or key: {_advice(uri)}"
        )
    # Elsewhere the question mark may be part of a key, but a signature has been copied with it.
    is_secret = names_secret if is_http else _SIGNATURE.search
    if any(map(is_secret, _parameters(uri))):
        shown = str(uri).partition("?")[0]
        raise RequestError(
            f"path {shown!r} carries a signature or key behind its question mark: name the file "
            "by its own protocol (such as s3://) and without it, or download it first"
        )


def _has_valid_port(uri: Uri) -> bool:
    """Whether what follows the host's colon is a number, and not the start of a password."""
    try:
        return urlsplit(str(uri)).port != 0
    except ValueError:
        return False


def _parameters(uri: Uri) -> list[str]:
    query = uri.rest.partition("?")[2]
    return [unquote(part.partition("=")[0]) for part in re.split("[&;]", query)]


def _without_account(uri: Uri) -> str:
    """What can be shown: a password may hold any character, but ends before the last @."""
    _, at, shown = uri.rest.partition("?")[0].rpartition("@")
    return f"{uri.protocol}://***" + (f"@{shown}" if at else "")


def _advice(uri: Uri) -> str:
    if uri.protocol in HTTP:
        return "write it into ~/.netrc instead"
    if uri.protocol in _S3:
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment instead"
    return "set it in the environment instead, where its library looks for it"
