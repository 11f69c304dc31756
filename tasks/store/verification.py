"""Compares an artifact's folder with its manifest, file by file, down to the last bit."""

import errno
import os
import stat
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tasks.store.artifact import Artifact
from tasks.store.erased import ERASED_NAME, Content, contents_of, read_erased
from tasks.store.errors import UnreadableError
from tasks.store.hashing import of_each, sha256_of, walk
from tasks.store.manifest import MANIFEST_NAME, Manifest

# A file changed twice within one tick of the file system's clock can carry one and the same time,
# so files this young are read again next time.
_SETTLED_NS = 2_000_000_000

Signature = tuple[tuple[str, int, int, int, int], ...]


@dataclass
class Memory:
    """What this process has verified, by folder, under the file status it had then."""

    _signatures: dict[Path, Signature] = field(default_factory=dict)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def knows(self, folder: Path, signature: Signature) -> bool:
        """Whether the folder was whole when it looked exactly like this."""
        return self._signatures.get(folder) == signature

    def learn(self, folder: Path, signature: Signature, now_ns: int) -> None:
        """Remember that the folder is whole while it looks like this."""
        youngest = max((max(mtime, ctime) for _, mtime, ctime, _, _ in signature), default=now_ns)
        if now_ns - youngest > _SETTLED_NS:
            with self._writing:
                self._signatures[folder] = signature


def flaws_of(artifact: Artifact, memory: Memory | None = None) -> list[str]:
    """What is wrong with the artifact's files, one line each by name; empty when it is whole.

    Files that an erasure rewrote must be what it made of them. Reads every byte, on several
    threads, unless `memory` knows the folder as it is.

    Raises:
        UnreadableError: a file cannot be read for a reason that is no damage.
        ArtifactError: what was erased from it is said by a file that is damaged.
    """
    statuses = _statuses(artifact.path)
    signature = _signature(statuses)
    if memory and memory.knows(artifact.path, signature):
        return []
    for name in (MANIFEST_NAME, ERASED_NAME):
        statuses.pop(name, None)
    listed = contents_of(artifact.manifest, read_erased(artifact.path))
    flaws = [f"{name} is missing" for name in listed.keys() - statuses.keys()]
    flaws += [f"{name} is not in the manifest" for name in statuses.keys() - listed.keys()]
    present = {name: contents for name, contents in listed.items() if name in statuses}
    flaws += _size_flaws(present, statuses)
    if not flaws:
        flaws = _content_flaws(artifact.path, present)
    if memory and not flaws:
        memory.learn(artifact.path, signature, time.time_ns())
    return sorted(flaws)


def flaws_beside(folder: Path, manifest: Manifest, *, unread: str) -> list[str]:
    """What is wrong with an artifact's files but for one folder of them, one line each.

    Reads every byte of the files that are looked at.

    Raises:
        UnreadableError: a file cannot be read for a reason that is no damage.
        ArtifactError: what was erased from it is said by a file that is damaged.
    """
    statuses, listed = _statuses(folder), contents_of(manifest, read_erased(folder))
    read = {name: one for name, one in listed.items() if not name.startswith(f"{unread}/")}
    flaws = [f"{name} is missing" for name in read if name not in statuses]
    flaws = flaws or _size_flaws(read, statuses)
    return flaws or _content_flaws(folder, read)


def _statuses(folder: Path) -> dict[str, os.stat_result]:
    try:
        return dict(walk(folder))
    except OSError as error:
        raise UnreadableError(f"{error.filename} cannot be read: {error.strerror}") from error


def _signature(statuses: dict[str, os.stat_result]) -> Signature:
    return tuple(
        (name, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        for name, status in statuses.items()
    )


def _size_flaws(
    files: Mapping[str, Sequence[Content]], statuses: Mapping[str, os.stat_result]
) -> list[str]:
    flaws = []
    for name, contents in files.items():
        status = statuses[name]
        if not stat.S_ISREG(status.st_mode):
            flaws.append(f"{name} is no plain file")
        elif status.st_size not in {content.bytes for content in contents}:
            flaws.append(f"{name} has {status.st_size} bytes instead of {contents[-1].bytes}")
    return flaws


def _content_flaws(folder: Path, files: Mapping[str, Sequence[Content]]) -> list[str]:
    digests = of_each(_digest_or_flaw, [folder / name for name in files])
    return [
        f"{name} {digest if ' ' in digest else 'has other content than was committed'}"
        for (name, contents), digest in zip(files.items(), digests, strict=True)
        if digest not in {content.sha256 for content in contents}
    ]


def _digest_or_flaw(path: Path) -> str:
    try:
        return sha256_of(path)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        if error.errno == errno.EIO:
            return "cannot be read: the disk reports an error"
        raise UnreadableError(f"{path} cannot be read: {error.strerror}") from error
