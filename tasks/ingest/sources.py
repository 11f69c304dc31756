"""The files a corpus is made of, each known by a relative name and the hash of its bytes."""

import hashlib
import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from model.errors import CorpusError
from tasks.ingest.reading.builtin import find_builtin_files
from tasks.ingest.config import IngestConfig
from tasks.ingest.paths import find_files
from tasks.settings import StageConfig

UNREADABLE = "unreadable"


class SourceChangedError(CorpusError):
    """A source file was written to, replaced or deleted while it was being read."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Attributes:
        name: relative, unique in the corpus.
        path: where it lies now.
        sha256: hex digest of its bytes as they lie on disk, or "unreadable".
        num_bytes: its size; 0 where it cannot be read.
    """

    name: str
    path: Path
    sha256: str
    num_bytes: int


def sources(config: StageConfig) -> list[list[str]]:
    """What identifies the input: sorted pairs of relative name and sha256 of every file.

    Raises:
        RequestError: a path that is missing, cannot be read, or has no files below it.
    """
    assert isinstance(config, IngestConfig)
    return [[source.name, source.sha256] for source in list_sources(config)]


def list_sources(config: IngestConfig) -> list[Source]:
    """Every source file, sorted by name. Hashes them all, with threads: about 1 GB/s a thread.

    Raises:
        RequestError: a path that is missing, cannot be read, or has no files below it.
    """
    files = find_files(config.paths) if config.paths else find_builtin_files()
    digests = _digests([file.path for file in files])
    return _with_unique_names(
        [Source(file.name, file.path, *digest) for file, digest in zip(files, digests, strict=True)]
    )


def check_unchanged(before: Sequence[Source]) -> None:
    """Hash the files again.

    Raises:
        SourceChangedError: one of them is not what it was.
    """
    after = _digests([source.path for source in before])
    for source, (sha256, _) in zip(before, after, strict=True):
        if sha256 != source.sha256:
            raise SourceChangedError(
                f"{source.path} changed while it was being read: run again when it is complete"
            )


def _digests(paths: Sequence[Path]) -> list[tuple[str, int]]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(_digest, paths))


def _digest(path: Path) -> tuple[str, int]:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
    except OSError:
        return UNREADABLE, 0


def _with_unique_names(found: Sequence[Source]) -> list[Source]:
    """Files of the same relative name from different paths are numbered by their content, so that
    neither the order of the paths nor where they lie matters."""
    named: dict[str, Source] = {}
    for source in sorted(found, key=lambda source: (source.name, source.sha256)):
        names = itertools.chain(
            [source.name], (f"{source.name}~{number}" for number in itertools.count(2))
        )
        name = next(name for name in names if name not in named)
        named[name] = Source(name, source.path, source.sha256, source.num_bytes)
    return sorted(named.values(), key=lambda source: source.name)
