"""Tombstones: what was erased from a workspace and must not come into it again.

``erased/tombstones/<erasure_id>.json``  hashes only, no id and no text
``erased/pending.json``                  what an erasure at work, or one that died, erases

The hashes are plain SHA-256, not keyed. A key would have to lie beside them, in a workspace that
names the erased ids in its ledgers and receipts anyway; and plain ones can be joined with the
``content_sha256`` of copies elsewhere, so that consumers find what to delete.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.errors import ArtifactError, RequestError
from model.json_files import parse_json
from tasks.store.canonical import short_hash
from tasks.store.workspace import Workspace


@dataclass(frozen=True)
class Tombstones:
    """Hashes of what was erased, in hexadecimal digits.

    Attributes:
        doc_ids: SHA-256 of ids that the user gave; whatever comes under one of them is refused.
        contents: SHA-256 of normalised texts, as `content_sha256` has them.
    """

    doc_ids: frozenset[str] = frozenset()
    contents: frozenset[str] = frozenset()

    @property
    def digest(self) -> str | None:
        """Stands for all of them in an identity; None where there are none."""
        if not self.doc_ids and not self.contents:
            return None
        return short_hash([sorted(self.doc_ids), sorted(self.contents)])

    def cover(self, doc_id: str, content_sha256: bytes | None = None) -> bool:
        """Whether a document of that id, or of that content, was erased."""
        if content_sha256 is not None and content_sha256.hex() in self.contents:
            return True
        return bool(self.doc_ids) and hash_of_id(doc_id) in self.doc_ids


NO_TOMBSTONES = Tombstones()


def hash_of_id(doc_id: str) -> str:
    """What a tombstone keeps of an id."""
    return hashlib.sha256(doc_id.encode("utf-8", "surrogatepass")).hexdigest()


def erased_folder(workspace: Workspace) -> Path:
    """Where tombstones and receipts lie."""
    return workspace.path / "erased"


def pending_file(workspace: Workspace) -> Path:
    """What is there while an erasure is at work, or where one died."""
    return erased_folder(workspace) / "pending.json"


def refuse_unfinished(workspace: Workspace) -> None:
    """See that no erasure is at work, and none was interrupted.

    Raises:
        RequestError: one is or was.
    """
    if pending_file(workspace).exists():
        raise RequestError(
            f"{workspace.location}: an erasure is at work or did not end: wait for it, or see to "
            "it with `corpusmith erase --yes`"
        )


def read_tombstones(workspace: Workspace) -> Tombstones:
    """All tombstones of a workspace.

    Raises:
        ArtifactError: one of them is damaged.
    """
    doc_ids: set[str] = set()
    contents: set[str] = set()
    for path in sorted((erased_folder(workspace) / "tombstones").glob("[!.]*.json")):
        values = _read(path)
        doc_ids.update(values["doc_ids"])
        contents.update(values["contents"])
    return Tombstones(frozenset(doc_ids), frozenset(contents))


def tombstone_of(doc_ids: Iterable[str], contents: Iterable[bytes]) -> Tombstones:
    """What is kept of ids and of content hashes."""
    return Tombstones(
        frozenset(map(hash_of_id, doc_ids)), frozenset(content.hex() for content in contents)
    )


def _read(path: Path) -> Any:
    try:
        values = parse_json(path.read_bytes())
        if not all(_are_hashes(values[name]) for name in ("doc_ids", "contents")):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} is damaged, so it is not known what was erased: bring it back from a backup"
        ) from error
    return values


def _are_hashes(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(each, str) for each in values)
