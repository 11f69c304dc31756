"""Reads folders and files as the disk holds them: which files there are, and their SHA-256."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

_MAX_THREADS = 8


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


def in_threads(function: Callable[[Path], Result], paths: Sequence[Path]) -> list[Result]:
    """``function`` of every path, in order; hashing and waiting for disks leave the processor."""
    threads = min(_MAX_THREADS, os.cpu_count() or 1, len(paths))
    if threads <= 1:
        return [function(path) for path in paths]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, paths))


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
