"""Finds the files behind a local path: a file, a folder or a glob."""

import os
from collections.abc import Iterator
from pathlib import Path

from model.errors import RequestError
from tasks.ingest.places.globs import EVERYTHING, Glob, is_glob
from tasks.ingest.places.location import FoundFile
from tasks.redaction import without_password


def find_local(text: str) -> list[FoundFile]:
    """Every file behind a path, named relative to its folder or to its last part before a wildcard.

    Raises:
        RequestError: it is missing, cannot be read, or has no files below it.
    """
    try:
        files = _expand(text)
    except PermissionError:
        raise RequestError(f"path {text!r} is not readable: check its permissions") from None
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"path {text!r} cannot be used: {error}") from None
    if not files:
        raise RequestError(
            f"path {text!r} has no files (hidden files and links do not count): give another path"
        )
    return files


def readable_name(name: str) -> str:
    """A name that any table can hold: bytes of it that are not UTF-8 are spelled out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _expand(text: str) -> list[FoundFile]:
    path = Path(text).expanduser()
    if path.exists():
        return _expand_existing(path)
    if is_glob(text):
        return _expand_glob(path)
    raise RequestError(f"path {without_password(text)!r} does not exist: check its spelling")


def _expand_existing(path: Path) -> list[FoundFile]:
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise PermissionError
    if path.is_dir():
        return list(_search(str(path.resolve()), EVERYTHING))
    if path.is_file():
        return [FoundFile(readable_name(path.name), str(path.resolve()))]
    raise RequestError(f"path {str(path)!r} is neither a file nor a folder: give one of these")


def _expand_glob(pattern: Path) -> list[FoundFile]:
    depth = next(i for i, part in enumerate(pattern.parts) if is_glob(part))
    root = Path(*pattern.parts[:depth]).resolve()
    if not root.is_dir():
        shown = without_password(str(pattern))
        raise RequestError(
            f"path {shown!r} leads nowhere: there is no folder {without_password(str(root))}"
        )
    return list(_search(str(root), Glob(pattern.parts[depth:])))


def _search(root: str, glob: Glob) -> Iterator[FoundFile]:
    """Files that match, without hidden ones, links, and whatever else is no regular file.

    A folder that cannot be listed is handed out itself, to be accounted for.
    """
    waiting = [(root, "", glob.start)]
    while waiting:
        folder, parent, positions = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError:
            yield FoundFile(readable_name(parent or Path(folder).name), folder)
            continue
        for entry in entries:
            reached = glob.step(positions, entry.name)
            if not reached or entry.name.startswith("."):
                continue
            name = f"{parent}/{entry.name}" if parent else entry.name
            if entry.is_dir(follow_symlinks=False):
                waiting.append((entry.path, name, reached))
            elif glob.is_match(reached) and entry.is_file(follow_symlinks=False):
                yield FoundFile(readable_name(name), entry.path)
