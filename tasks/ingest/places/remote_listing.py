"""Finds the files behind a URI: a file, a prefix or a glob."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from model.errors import RequestError
from tasks.ingest.places.globs import EVERYTHING, Glob, Positions, is_glob
from tasks.ingest.places.location import FoundFile
from tasks.ingest.places.remote_access import file_system
from tasks.ingest.places.remote_errors import refusing
from tasks.ingest.places.remote_uris import HTTP, Uri, last_part, parse_uri
from tasks.ingest.places.states import tagged_state


class _Folder(NamedTuple):
    """Where a search begins: a prefix, as the file system and as a URI has it."""

    system: Any
    path: str
    uri: str

    def found(self, name: str, info: Mapping[str, Any]) -> FoundFile:
        """A file below, from what the listing says of it."""
        return FoundFile(_writable(name), self.uri + name, tagged_state(info))

    def path_of(self, name: str) -> str:
        """The path of a folder below, or of this one."""
        return f"{self.path}/{name}" if name else self.path


def find_remote(text: str) -> list[FoundFile]:
    """Every file behind a URI, named relative to its prefix or to its last part before a wildcard.

    Keys with a part that begins with a dot are passed over, as hidden files are. Both are found
    where a key is also the prefix of others. An address of the web is one file, never a pattern.

    Raises:
        RequestError: it leads to no file, cannot be reached, or carries a secret.
    """
    uri = parse_uri(text)
    with refusing(uri):
        files = _web_file(uri) if uri.protocol in HTTP else _files(uri)
    if not files:
        raise RequestError(
            f"path {str(uri)!r} has no files (keys with a part that begins with a dot do not "
            "count): give another path"
        )
    return files


def _web_file(uri: Uri) -> list[FoundFile]:
    system, path = file_system(uri)
    system.info(path)
    return [FoundFile(last_part(uri) or uri.authority, str(uri))]


def _files(uri: Uri) -> list[FoundFile]:
    if is_glob(uri.authority) and uri.protocol != "memory":
        raise RequestError(f"path {str(uri)!r} has a wildcard in its first part: give that exactly")
    exact = _exact_file(uri)
    if not is_glob(uri.rest):
        return exact + _files_below(uri, EVERYTHING, may_fail=bool(exact))
    if exact:
        return exact
    parts = uri.rest.split("/")
    depth = next(i for i, part in enumerate(parts) if is_glob(part))
    root = Uri(uri.protocol, "/".join(parts[:depth]))
    return _files_below(root, Glob([part for part in parts[depth:] if part]))


def _exact_file(uri: Uri) -> list[FoundFile]:
    """The file of just this name; where that may not be asked, the listing will tell."""
    if uri.rest.endswith("/") or not uri.rest:
        return []
    system, path = file_system(uri)
    with suppress(FileNotFoundError, PermissionError):
        info = system.info(path)
        if info["type"] == "file":
            return [FoundFile(_writable(last_part(uri)), str(uri), tagged_state(info))]
    return []


def _files_below(root: Uri, glob: Glob, *, may_fail: bool = False) -> list[FoundFile]:
    system, path = file_system(root)
    prefix = f"{root.rest.rstrip('/')}/" if root.rest else ""
    folder = _Folder(system, path.rstrip("/"), f"{root.protocol}://{prefix}")
    try:
        return list(_search(folder, glob))
    except (FileNotFoundError, PermissionError):
        if may_fail:
            return []
        raise


def _search(root: _Folder, glob: Glob) -> Iterator[FoundFile]:
    """Goes down folder by folder where few of them can match, else lists all that lies below."""
    waiting = [("", glob.start)]
    while waiting:
        name, positions = waiting.pop()
        if glob.is_deep(positions):
            yield from _search_deep(root, name, glob, positions)
            continue
        for entry, info in _entries(root, name):
            reached = glob.step(positions, entry.rpartition("/")[2])
            if info["type"] == "directory" and reached:
                waiting.append((entry, reached))
            elif info["type"] == "file" and glob.is_match(reached):
                yield root.found(entry, info)


def _entries(root: _Folder, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What lies right in a folder. A part of no length has no listing of its own, and no match."""
    for info in root.system.ls(root.path_of(name), detail=True):
        entry = info["name"][len(root.path) + 1 :]
        if entry != name and not entry.endswith("/") and not _is_hidden(entry):
            yield entry, info


def _search_deep(root: _Folder, name: str, glob: Glob, positions: Positions) -> Iterator[FoundFile]:
    for found, info in root.system.find(root.path_of(name), detail=True).items():
        entry = found[len(root.path) + 1 :]
        if not entry or entry.endswith("/") or _is_hidden(entry) or entry == name:
            continue
        reached = positions
        for part in entry[len(name) :].removeprefix("/" if name else "").split("/"):
            reached = glob.step(reached, part)
        if glob.is_match(reached):
            yield root.found(entry, info or root.system.info(found))


def _is_hidden(name: str) -> bool:
    if not name.startswith(".") and "/." not in name:
        return False
    parts = name.split("/")
    return any(part.startswith(".") and part not in (".", "..") for part in parts)


def _writable(name: str) -> str:
    """A name that any table can hold."""
    return name.encode("utf-8", "backslashreplace").decode()
