"""Reaches remote files through fsspec, never through its caches."""

import errno
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeVar

from model.errors import RequestError
from tasks.ingest.places.remote_errors import reading
from tasks.ingest.places.remote_file import BLOCK_BYTES, as_file, downloaded, in_memory, patiently
from tasks.ingest.places.remote_uris import HTTP, VERSION_MARK, Uri, split_uri
from tasks.ingest.places.states import State, dated_state, tagged_state

_Answer = TypeVar("_Answer")

_LIBRARIES = {"s3": "s3fs", "s3a": "s3fs", "http": "aiohttp", "https": "aiohttp"}
_EXTRAS = {"s3fs": "'corpusmith[s3]'"}
# Bytes as they lie on the server, not as it or the client might pack or unpack them on the way;
# trust_env reads ~/.netrc and the proxies that the environment names.
_HTTP_OPTIONS = {
    "cache_type": "readahead",
    "client_kwargs": {"auto_decompress": False, "trust_env": True},
    "headers": {"Accept-Encoding": "identity"},
}


def file_system(uri: Uri) -> tuple[Any, str]:
    """The fsspec file system of a URI, and the path of the URI on it.

    One for each process, and where it is not safe to share, for each thread. It keeps no listings.

    Raises:
        RequestError: the protocol is unknown, or its library is not installed.
    """
    from fsspec.asyn import AsyncFileSystem

    kind = _file_system_class(uri)
    options = dict(kind._get_kwargs_from_urls(str(uri)))
    if issubclass(kind, AsyncFileSystem):
        options["use_listings_cache"] = False
    if uri.protocol in HTTP:
        options |= _HTTP_OPTIONS
    found = kind(**options)
    if not found.async_impl:
        found.invalidate_cache()
    return found, kind._strip_protocol(str(uri))


def open_uri(text: str) -> BinaryIO:
    """A remote file, to read from any place in it.

    S3 files are read at the version that was opened; later reads fail if that was replaced.

    Raises:
        OSError: it is gone or may not be read.
        SourceUnreachableError: its server or the way to it fails, now or at a later read.
    """
    uri = split_uri(text)
    with reading(uri):
        _refuse_version(uri)
        system, path = file_system(uri)
        if uri.protocol == "memory":  # hands out one position to all who read
            return in_memory(system.cat_file(path))
        if uri.protocol in HTTP:
            return patiently(lambda: _open_http(uri, system, path))
        return as_file(system.open(path, "rb", block_size=BLOCK_BYTES), uri)


def uri_state(text: str) -> State | None:
    """What changes when the file's content does; None where the server says nothing of that.

    Raises:
        OSError: it is gone or may not be read.
        SourceUnreachableError: its server or the way to it fails.
    """
    uri = split_uri(text)
    with reading(uri):
        _refuse_version(uri)
        system, path = file_system(uri)
        info = _ask(uri, lambda: _info(system, path))
        return tagged_state(info) or dated_state(_with_time(info, system, path))


def server_of(text: str) -> str:
    """What sets apart files of the same URI: the S3 server it leads to in this environment."""
    uri = split_uri(text)
    with reading(uri):
        system, _ = file_system(uri)
        client = getattr(system, "s3", None)
        endpoint = client.meta.endpoint_url if client else ""
        return str(endpoint).rpartition("@")[2]


def _file_system_class(uri: Uri) -> Any:
    from fsspec.registry import get_filesystem_class

    try:
        return get_filesystem_class(uri.protocol)
    except ImportError as error:
        library = _LIBRARIES.get(uri.protocol)
        needs = f"{library}: pip install {_EXTRAS.get(library, library)}" if library else str(error)
        raise RequestError(f"path {str(uri)!r} needs {needs}") from None
    except ValueError:
        raise RequestError(
            f"path {str(uri)!r} begins with an unknown protocol: give a local path, or one such as "
            "s3:// or https://"
        ) from None


def _open_http(uri: Uri, system: Any, path: str) -> BinaryIO:
    """A large file itself where the server hands out ranges of it, else a copy."""
    file = system.open(path, "rb", block_size=BLOCK_BYTES)
    num_bytes = file.size
    if num_bytes is not None and num_bytes > BLOCK_BYTES and _has_ranges(file):
        return as_file(file, uri)
    file.close()
    return downloaded(system.open(path, "rb", block_size=0), uri, num_bytes)


def _has_ranges(file: Any) -> bool:
    try:
        file.seek(file.size - 1)
        return len(file.read(1)) == 1
    except ValueError:  # the server sent everything
        return False
    finally:
        file.seek(0)


def _ask(uri: Uri, ask: Callable[[], _Answer]) -> _Answer:
    """The library for S3 asks again by itself, the one for the web does not."""
    return patiently(ask) if uri.protocol in HTTP else ask()


def _info(system: Any, path: str) -> Mapping[str, Any]:
    info: Mapping[str, Any] = system.info(path)
    if info.get("type", "file") != "file":
        raise FileNotFoundError(path)
    return info


def _with_time(info: Mapping[str, Any], system: Any, path: str) -> Mapping[str, Any]:
    try:
        return {"modified": system.modified(path), **info}
    except NotImplementedError:  # so fsspec says that a file system keeps no such times
        return info


def _refuse_version(uri: Uri) -> None:
    """s3fs would take the key to be the part before this, and read another file."""
    if uri.protocol.startswith("s3") and VERSION_MARK in uri.rest:
        raise OSError(errno.EINVAL, "a key cannot be read that has ?versionId= in it")
