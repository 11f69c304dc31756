"""What a refresh starts from: the current release, and what its embedder was made from."""

from dataclasses import dataclass
from typing import Self

from model.errors import ArtifactError, RequestError
from tasks.release.pointer import Release, current
from tasks.store.artifact import Artifact, ArtifactRef, artifact_path
from tasks.store.store import Store
from tasks.store.workspace import Workspace


@dataclass(frozen=True)
class Released:
    """The current release with its roots; nothing of it is trained anew.

    Attributes:
        release: the one that a decision to publish is made against.
        corpus: what its rows are about.
        learned: the corpus that its embedder was trained on.
        vocabulary, encoder: those of the embedder.
    """

    release: Release
    corpus: ArtifactRef
    learned: ArtifactRef
    vocabulary: ArtifactRef
    encoder: ArtifactRef

    @classmethod
    def of(cls, store: Store) -> Self:
        """Those of a workspace.

        Raises:
            RequestError: nothing is published.
            ArtifactError: the release's embedder is gone, or does not say what it was made from.
        """
        release = current_release(store.workspace)
        embedder = store.get(release.embedder.stage, release.embedder.input_id)
        if release.corpus is None:
            raise ArtifactError(
                f"release {release.id} does not say what documents it is about: `corpusmith run` "
                "publishes one that does"
            )
        roots = (_input_of(embedder, name) for name in ("ingest", "vocab", "pretrain"))
        return cls(release, release.corpus, *roots)


def current_release(workspace: Workspace) -> Release:
    """What is published.

    Raises:
        RequestError: nothing is.
    """
    release = current(workspace)
    if release is None:
        raise RequestError(
            f"nothing is published in {workspace.location}: `corpusmith run` publishes"
        )
    return release


def place_to_read(workspace: Workspace, release: Release) -> str:
    """What readers open. It stays where it is while releases come and go; in a bucket, where there
    are no links, it is this release's table."""
    if workspace.bucket:
        return f"{workspace.location}/{release.export.path}"
    return str(workspace.published / "embeddings")


def _input_of(embedder: Artifact, name: str) -> ArtifactRef:
    entry = embedder.manifest.inputs.get(name)
    if entry is None:
        raise ArtifactError(f"{embedder.ref.path} does not say what {name} it was made from")
    return ArtifactRef(
        stage=name,
        input_id=entry.input_id,
        content_id=entry.content_id,
        path=artifact_path(name, entry.input_id),
    )
