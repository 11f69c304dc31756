"""What a release says: everything a reader needs to search it."""

import json

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import ArtifactError
from tasks.store.artifact import ArtifactRef
from tasks.store.errors import FormatError

FORMAT_VERSION = 1
MODEL_NAME = "corpusmith-embedder"  # of the registered model whose versions are the releases


class Release(BaseModel):
    """An embedder together with its complete export.

    Attributes:
        id: counts up from 1 in each workspace.
        embedder: turns queries into vectors of the export's space.
        export: the embeddings dataset.
        corpus: the documents the export's rows are about, where the export was made from any.
        scores: of the embedder, by metric name, as they were when it was published.
        published_at: UTC; information only, never compared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = Field(default=FORMAT_VERSION, ge=1)
    id: int = Field(ge=1)
    embedder: ArtifactRef
    export: ArtifactRef
    corpus: ArtifactRef | None = None
    scores: dict[str, float] = Field(default_factory=dict)
    published_at: str

    @property
    def registered_as(self) -> dict[str, str]:
        """What tells its version of the registered model from others."""
        return {"content_id": self.embedder.content_id, "release": str(self.id)}


def render_release(release: Release) -> bytes:
    """The release as a JSON file."""
    return release.model_dump_json(indent=1).encode()


def parse_release(raw: bytes, where: str) -> Release:
    """The release in the bytes of a JSON file.

    Raises:
        FormatError: a newer corpusmith wrote it.
        ArtifactError: it is damaged.
    """
    try:
        version = json.loads(raw)["format_version"]
        if version == FORMAT_VERSION:
            return Release.model_validate_json(raw)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{where} is damaged: delete it and run again to publish") from error
    raise FormatError(f"{where} needs version {version} of the release format: update corpusmith")
