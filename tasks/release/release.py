"""What a release says: everything a reader needs to search it."""

from pydantic import Field

from tasks.release.records import Record, parse, render
from tasks.store.artifact import ArtifactRef

MODEL_NAME = "corpusmith-embedder"  # of the registered model whose versions are the releases


class Release(Record):
    """An embedder together with its complete export.

    Attributes:
        id: counts up from 1 in each workspace.
        embedder: turns queries into vectors of the export's space.
        export: the embeddings dataset.
        corpus: the documents the export's rows are about, where the export was made from any.
        scores: of the embedder, by metric name, as they were when it was published.
        published_at: UTC; information only, never compared.
    """

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
    return render(release)


def parse_release(raw: bytes, where: str) -> Release:
    """The release in the bytes of a JSON file.

    Raises:
        FormatError: a newer corpusmith wrote it.
        ArtifactError: it is damaged.
    """
    advice = "delete it and run again to publish"
    return parse(Release, raw, where, known_as="the release format", if_damaged=advice)
