"""Reads folders and files as the disk holds them: which files there are, and their SHA-256."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from tasks.store.threads import in_threads

Result = TypeVar("Result")


def walk(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below `folder` that is no folder: name with ``/``, status; links not followed."""
    yield from _walk(folder, "")


def walk_folders(folder: Path) -> Iterator[Path]:
    """The folders below `folder`, deepest first, itself last."""
    for parent, _, _ in os.walk(folder, topdown=False):
        yield Path(parent)


def sha256_of(path: Path) -> str:
    """SHA-256 of the file's content as it lies on the disk, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_each(function: Callable[[Path], Result], paths: Sequence[Path]) -> list[Result]:
    """``function`` of every path, in order; hashing takes a processor for each."""
    return in_threads(function, paths, at_most=os.cpu_count() or 1)


def size_of(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(status.st_size for _, status in walk(folder))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), f"{name}/")
            else:
                yield name, entry.stat(follow_symlinks=False)
