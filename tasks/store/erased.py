"""What was erased from an artifact since it was committed: a sealed file beside its manifest.

The manifest stays as it is, and with it the artifact's identity, so that references to it go on
being valid. ``ERASED.json`` names every file that was rewritten and the content that it must have
since. While an erasure puts its files in their places, both contents of a file are accepted.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from model.errors import ArtifactError
from model.json_files import parse_json
from tasks.store.canonical import canonical_json
from tasks.store.errors import FormatError, UnreadableError
from tasks.store.manifest import Manifest

ERASED_NAME = "ERASED.json"
FORMAT_VERSION = 1


class Content(BaseModel):
    """What a file holds, by size and SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class RewrittenFile(BaseModel):
    """One file: what it has to hold, and while it may not have been put in its place, what before.

    Attributes:
        before: None where the erasure is over.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    before: Content | None = None
    after: Content


class Erasure(BaseModel):
    """What one erasure did to the artifact.

    Attributes:
        num_documents: whose text, tokens or vectors stood in the files.
        files: those that it rewrote.
        learned: whether the artifact is a model that learned from the documents.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    erased_at: str
    num_documents: int = Field(ge=0)
    files: tuple[str, ...] = ()
    learned: bool = False


class Erased(BaseModel):
    """All erasures of an artifact, by their ids, and what its rewritten files hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    files: dict[str, RewrittenFile] = Field(default_factory=dict)
    erasures: dict[str, Erasure] = Field(default_factory=dict)

    @property
    def is_pending(self) -> bool:
        """Whether files may not be in their places yet."""
        return any(file.before for file in self.files.values())

    @property
    def has_learned(self) -> bool:
        """Whether the artifact is a model that learned from documents erased since."""
        return any(erasure.learned for erasure in self.erasures.values())

    @property
    def num_documents(self) -> int:
        """Documents of all erasures; one that two of them name counts twice."""
        return sum(erasure.num_documents for erasure in self.erasures.values())


def contents_of(manifest: Manifest, erased: Erased | None) -> dict[str, tuple[Content, ...]]:
    """What each file of an artifact may hold, by name; what it should hold comes last."""
    contents: dict[str, tuple[Content, ...]] = {
        file.name: (Content(bytes=file.bytes, sha256=file.sha256),) for file in manifest.files
    }
    for name, file in (erased.files if erased else {}).items():
        contents[name] = (file.before, file.after) if file.before else (file.after,)
    return contents


def render_erased(erased: Erased) -> bytes:
    """The bytes of ``ERASED.json``, sealed."""
    values = erased.model_dump(mode="json")
    return json.dumps({"erased": values, "seal": _seal(values)}, indent=1).encode()


def read_erased(folder: Path) -> Erased | None:
    """What was erased from the artifact in a folder; None where nothing was.

    Raises:
        UnreadableError: the disk or its permissions stand in the way.
        FormatError: a newer corpusmith wrote the file that says it.
        ArtifactError: that file is damaged.
    """
    path = folder / ERASED_NAME
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}") from error
    do = f"bring it back from a backup, or delete {folder} and run {folder.parent.name} again"
    try:
        sealed = parse_json(raw)
        values = sealed["erased"]
        if sealed["seal"] != _seal(values):
            raise ArtifactError(f"{path} was edited or damaged: its seal does not match: {do}")
        if values["format_version"] == FORMAT_VERSION:
            return Erased.model_validate(values)
    except ArtifactError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} was edited or damaged: it cannot be read: {do}") from error
    raise FormatError(
        f"{path} has version {values['format_version']} of its format, this corpusmith reads "
        f"{FORMAT_VERSION}: update corpusmith"
    )


def _seal(values: Any) -> str:
    return hashlib.sha256(canonical_json(values)).hexdigest()
