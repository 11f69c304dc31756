"""The files a corpus is made of, each known by a relative name and the hash of its bytes."""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks.ingest.config import IngestConfig
from tasks.ingest.places.builtin_files import find_builtin_files
from tasks.ingest.places.digest_store import Digest
from tasks.ingest.places.digests import DigestMemory, process_memory
from tasks.ingest.places.paths import find_files
from tasks.ingest.places.remote_uris import is_uri, shown
from tasks.ingest.places.source_errors import SourceChangedError
from tasks.ingest.places.states import State
from tasks.settings import StageConfig

UNREADABLE = "unreadable"
_MAX_THREADS = 8
_LOOKS_AT_ONCE = 256

_Place = tuple[str, State | None]


@dataclass(frozen=True, slots=True)
class Source:
    """One file.

    Attributes:
        name: relative, unique in the corpus.
        location: where it lies now: an absolute local path or a URI.
        sha256: hex digest of its bytes as they lie there, or "unreadable".
        num_bytes: its size; 0 where it cannot be read.
    """

    name: str
    location: str
    sha256: str
    num_bytes: int

    @property
    def path(self) -> Path:
        """Where a local file lies."""
        assert not is_uri(self.location)
        return Path(self.location)


def sources(config: StageConfig) -> list[list[str]]:
    """What identifies the input: sorted pairs of relative name and sha256 of every file.

    Raises:
        RequestError: a path that is missing, cannot be read, or has no files below it.
        SourceChangedError: a file is being written to.
        SourceUnreachableError: a remote file's server or the way to it fails.
    """
    assert isinstance(config, IngestConfig)
    return [[source.name, source.sha256] for source in list_sources(config)]


def list_sources(config: IngestConfig) -> list[Source]:
    """Every source file, sorted by name. Hashes those that are new or changed, with threads.

    That takes a second for each GB and thread, or as long as a remote file takes to come.

    Raises:
        RequestError: a path that is missing, cannot be read, or has no files below it.
        SourceChangedError: a file is being written to.
        SourceUnreachableError: a remote file's server or the way to it fails.
    """
    files = find_files(config.paths) if config.paths else find_builtin_files()
    digests = _digests([(file.location, file.state) for file in files])
    return _with_unique_names(
        [
            Source(file.name, file.location, *digest)
            for file, digest in zip(files, digests, strict=True)
        ]
    )


def check_unchanged(before: Sequence[Source]) -> None:
    """Look at the files again, and hash those that may have changed.

    Raises:
        SourceChangedError: one of them is not what it was.
        SourceUnreachableError: a remote file's server or the way to it fails.
    """
    after = _digests([(source.location, None) for source in before])
    for source, digest in zip(before, after, strict=True):
        _compare(source, digest)


def _compare(source: Source, digest: Digest) -> None:
    if digest[0] != source.sha256:
        raise SourceChangedError(
            f"{shown(source.location)} changed while it was being read: run again when it is "
            "complete"
        )


def _digests(files: Sequence[_Place]) -> list[Digest]:
    """In order. After a failure no further file is hashed."""
    memory = process_memory()
    chunks = [files[at : at + _LOOKS_AT_ONCE] for at in range(0, len(files), _LOOKS_AT_ONCE)]
    pool = ThreadPoolExecutor(_MAX_THREADS)
    try:
        recalled = pool.map(partial(_recall, memory), chunks)
        known = [digest for some in recalled for digest in some]
        unknown = [file for file, digest in zip(files, known, strict=True) if digest is None]
        new = pool.map(partial(_digest, memory), unknown)
        return [digest or next(new) for digest in known]
    finally:
        pool.shutdown(cancel_futures=True)
        memory.save()


def _recall(memory: DigestMemory, files: Sequence[_Place]) -> list[Digest | None]:
    """What is known already of some files; a thread for each would take longer than the look."""
    found: list[Digest | None] = []
    for file in files:
        try:
            found.append(memory.recall(*file))
        except OSError:
            found.append((UNREADABLE, 0))
    return found


def _digest(memory: DigestMemory, file: _Place) -> Digest:
    try:
        return memory.digest(*file)
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
        named[name] = Source(name, source.location, source.sha256, source.num_bytes)
    return sorted(named.values(), key=lambda source: source.name)
