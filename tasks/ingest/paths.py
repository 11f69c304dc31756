"""Finds the files behind the user's paths: files, folders and globs."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import RequestError
from tasks.ingest.config import IngestConfig


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file, and its name relative to the path it was found through."""

    name: str
    path: Path


def check_paths(config: IngestConfig) -> None:
    """Check that every path of the request leads to files, before anything starts.

    Raises:
        RequestError: a path that is missing, cannot be read, or has no files below it.
    """
    find_files(config.paths)


def find_files(paths: Sequence[str]) -> list[FoundFile]:
    """Every file behind the paths, once, sorted by name.

    Folders are walked through. Symbolic links and hidden files below a given path are passed
    over; a path that is itself a link is followed.

    Raises:
        RequestError: a path that is missing, cannot be read, or has no files below it.
    """
    found: dict[Path, FoundFile] = {}
    for path in paths:
        for file in _expand(path):
            known = found.setdefault(file.path, file)
            found[file.path] = min(known, file, key=lambda file: file.name)
    return sorted(found.values(), key=lambda file: (file.name, file.path))


def _expand(text: str) -> list[FoundFile]:
    try:
        path = Path(text).expanduser()
        if path.exists():
            files = _expand_existing(path)
        elif _is_glob(text):
            files = _expand_glob(path)
        else:
            raise RequestError(f"path {text!r} does not exist: check its spelling")
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


def _expand_existing(path: Path) -> list[FoundFile]:
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise PermissionError
    if path.is_dir():
        root = path.resolve()
        return [FoundFile(_name(file, root), file) for file in _walk(root)]
    if path.is_file():
        return [FoundFile(_readable(path.name), path.resolve())]
    raise RequestError(f"path {str(path)!r} is neither a file nor a folder: give one of these")


def _walk(folder: Path) -> Iterator[Path]:
    """Files below; a folder that cannot be listed is handed out itself, to be accounted for."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _is_glob(text: str) -> bool:
    return any(mark in text for mark in "*?[")


def _expand_glob(pattern: Path) -> list[FoundFile]:
    """Names are relative to the last folder before the first wildcard."""
    depth = next(i for i, part in enumerate(pattern.parts) if _is_glob(part))
    root = Path(*pattern.parts[:depth]).resolve()
    if not root.is_dir():
        raise RequestError(f"path {str(pattern)!r} leads nowhere: there is no folder {root}")
    matches = sorted(root.glob(str(Path(*pattern.parts[depth:]))))
    files: dict[Path, FoundFile] = {}
    for match in matches:
        if _is_plain(match, root):
            below = _walk(match) if match.is_dir() else [match] if match.is_file() else []
            files |= {file: FoundFile(_name(file, root), file) for file in below}
    return list(files.values())


def _is_plain(match: Path, root: Path) -> bool:
    """Whether no part of the way from the root is hidden or a symbolic link."""
    if match == root:
        return True
    hidden = match.name.startswith(".")
    return not hidden and not match.is_symlink() and _is_plain(match.parent, root)


def _name(file: Path, root: Path) -> str:
    return _readable(file.relative_to(root).as_posix())


def _readable(name: str) -> str:
    """A name that any table can hold: bytes of it that are not UTF-8 are spelled out."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
