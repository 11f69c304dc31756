"""The manifest of an artifact: what was asked, which files came out, and a seal over itself.

``MANIFEST.json`` is written last, so a folder that has one was finished. Its last entry is the
SHA-256 of its own bytes with that entry blanked; this seal, and ``format_version``, keep their
meaning in every future format, so that a reader can tell damage from a newer writer.
"""

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from model.errors import ArtifactError
from tasks.store.canonical import plain_json, short_hash
from tasks.store.errors import FormatError, UnreadableError
from tasks.store.identity import Identity

MANIFEST_NAME = "MANIFEST.json"
FORMAT_VERSION = 1

_BLANK = "0" * 64


class FileEntry(BaseModel):
    """One file of an artifact: its name below the folder, its size, its SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("name")
    @classmethod
    def _stay_below(cls, name: str) -> str:
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\0" in name:
            raise ValueError(f"{name!r} is no file below the artifact's folder")
        return name


class InputEntry(BaseModel):
    """The upstream artifact that was read: the request and its result."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_id: str
    content_id: str


class Manifest(BaseModel):
    """What an artifact consists of and where it came from.

    Attributes:
        identity: the request.
        inputs: the upstream artifacts that were read, by stage name.
        files: every file, sorted by name.
        information: about the run that made it (times, host, versions, metrics); never hashed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = Field(default=FORMAT_VERSION, ge=1)
    identity: Identity
    inputs: dict[str, InputEntry]
    files: tuple[FileEntry, ...]
    information: dict[str, Any] = Field(default_factory=dict)

    @property
    def content_id(self) -> str:
        """The id of the result: equal for equal files, whoever made them, where and when."""
        return content_id_of(self.files)

    @property
    def total_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.bytes for file in self.files)


def content_id_of(files: tuple[FileEntry, ...]) -> str:
    """Hash of the names, sizes and contents of files, and of how many there are."""
    entries = sorted((file.name, file.bytes, file.sha256) for file in files)
    return short_hash({"num_files": len(entries), "files": entries})


def render_manifest(manifest: Manifest) -> bytes:
    """The bytes of ``MANIFEST.json``, sealed.

    Raises:
        CorpusmithError: JSON cannot hold something in it, such as a metric that is not finite.
    """
    values = plain_json(manifest.model_dump(), "manifest")
    values |= {"content_id": manifest.content_id, "seal": _BLANK}
    blanked = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    raw = blanked.encode()
    return _reseal(raw, _BLANK, hashlib.sha256(raw).hexdigest())


def parse_manifest(raw: bytes, where: str) -> Manifest:
    """The manifest in the bytes of a ``MANIFEST.json``.

    Raises:
        FormatError: it is whole and of a newer format.
        ArtifactError: it was truncated, edited or damaged.
    """
    values = _sealed_values(raw, where)
    version = values.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise FormatError(
            f"{where} needs version {version} of the artifact format, this corpusmith reads up to "
            f"{FORMAT_VERSION}: install a newer corpusmith or use another workspace"
        )
    content_id = values.pop("content_id", None)
    try:
        manifest = Manifest.model_validate(values)
    except ValidationError as error:
        raise ArtifactError(f"{where} is not a manifest: {error.errors()[0]['msg']}") from error
    if manifest.content_id != content_id:
        raise ArtifactError(f"{where} names another content than that of its files")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an artifact's folder.

    Raises:
        FormatError: it is whole and of a newer format.
        UnreadableError: the disk or its permissions stand in the way.
        ArtifactError: it is missing or damaged.
    """
    path = folder / MANIFEST_NAME
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ArtifactError(f"{path} is missing: the artifact was never finished") from error
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}") from error
    return parse_manifest(raw, str(path))


def _sealed_values(raw: bytes, where: str) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{where} was truncated or damaged: it is not JSON") from error
    seal = values.pop("seal", None) if isinstance(values, dict) else None
    if not isinstance(seal, str) or len(seal) != len(_BLANK):
        raise ArtifactError(f"{where} was edited or damaged: it carries no seal")
    if hashlib.sha256(_reseal(raw, seal, _BLANK)).hexdigest() != seal:
        raise ArtifactError(f"{where} was edited or damaged: its seal does not match")
    return values


def _reseal(raw: bytes, old: str, new: str) -> bytes:
    """`raw` with the seal, which is its last entry, exchanged."""
    head, _, tail = raw.rpartition(f'"seal": "{old}"'.encode())
    return head + f'"seal": "{new}"'.encode() + tail
