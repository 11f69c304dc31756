"""Cuts the list of source files into groups: the unit of work, and of reuse when files change.

Where a group ends depends on the files near by only, so that a file that comes or goes changes
its own group and at most a few after it, never the whole corpus.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tasks.ingest.places.sources import Source

_FILES_PER_GROUP = 512  # on average, where files are small
_BYTES_PER_GROUP = 2**26


@dataclass(frozen=True)
class Group:
    """Source files that follow each other in corpus order."""

    sources: tuple[Source, ...]

    @property
    def num_bytes(self) -> int:
        """Size of the files as they lie on disk."""
        return sum(source.num_bytes for source in self.sources)


def grouped(sources: Sequence[Source]) -> list[Group]:
    """The files in groups of about 512, or 64 MiB; larger files stand alone or come last."""
    return [Group(tuple(members)) for members in _cut(sources)]


def _cut(sources: Iterable[Source]) -> Iterator[list[Source]]:
    members: list[Source] = []
    num_bytes = 0
    for source in sources:
        members.append(source)
        num_bytes += source.num_bytes
        if num_bytes >= _BYTES_PER_GROUP or _ends_group(source.name):
            yield members
            members, num_bytes = [], 0
    if members:
        yield members


def _ends_group(name: str) -> bool:
    digest = hashlib.blake2b(name.encode("utf-8"), digest_size=8).digest()
    return int.from_bytes(digest, "little") % _FILES_PER_GROUP == 0
