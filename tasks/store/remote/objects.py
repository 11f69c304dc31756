"""What the store needs of an object storage: small objects compared and swapped, files streamed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Stored:
    """A small object as it was read, and the tag that its next version will not have."""

    raw: bytes
    tag: str


@dataclass(frozen=True)
class Listed:
    """An object as a listing names it.

    Attributes:
        key: below the workspace.
        num_bytes: its size.
        changed_at_s: by the server's wall clock, in seconds since 1970.
    """

    key: str
    num_bytes: int
    changed_at_s: float


@dataclass(frozen=True)
class UnfinishedUpload:
    """Parts of a large file whose upload has not ended; they take room and no listing shows them.

    Attributes:
        key: of the file, below the workspace.
        upload_id: the server's name for it.
        begun_at_s: by the server's wall clock, in seconds since 1970.
    """

    key: str
    upload_id: str
    begun_at_s: float


class ObjectStore(Protocol):
    """Objects by key below one workspace. Safe to use from several threads.

    Every method raises `StorageError` where the server cannot be reached or refuses, after the
    client has tried again for a while.
    """

    def read(self, key: str) -> Stored | None:
        """A small object, whole; None where there is none."""

    def chunks(self, key: str) -> Iterator[bytes] | None:
        """The content of an object, piece by piece; None where there is none."""

    def size_of(self, key: str) -> int | None:
        """The object's bytes; None where there is none."""

    def put(self, key: str, raw: bytes) -> None:
        """Write a small object, whatever lies there."""

    def create(self, key: str, raw: bytes) -> str | None:
        """Write a small object where there is none; its tag, or None where there is one."""

    def replace(self, key: str, raw: bytes, tag: str) -> str | None:
        """Write a small object over the version of that tag; the new tag, or None where the
        object is another by now, or gone."""

    def upload(self, key: str, path: Path, sha256: str) -> None:
        """Stream a file up; it is there whole or not at all.

        Raises:
            ArtifactError: the file is not what `sha256`, in hexadecimal digits, says.
        """

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there do no harm."""

    def listed(self, prefix: str) -> Iterator[Listed]:
        """The objects whose keys begin with `prefix`, sorted."""

    def folders(self, prefix: str) -> list[str]:
        """The names between `prefix` and the next slash of the keys that begin with it."""

    def unfinished(self) -> Iterator[UnfinishedUpload]:
        """Uploads of large files that have not ended."""

    def abandon(self, upload: UnfinishedUpload) -> None:
        """Drop the parts of an upload; one that has ended meanwhile does no harm."""
