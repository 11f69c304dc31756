"""The embedders of other runs that the user names to compare with, and what they learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import ArtifactError, RequestError
from tasks.named_artifacts import named_artifacts
from tasks.store.artifact import Artifact, ArtifactRef, artifact_path
from tasks.store.store import Store

SETTING = "evaluate.compare_with"

_CORPUS = "ingest"


@dataclass(frozen=True)
class OtherEmbedder:
    """An embedder and the corpus it was made from, in a workspace of their own.

    Attributes:
        name: in the tables: ``other_`` and the first eight digits of its input_id.
        store: of its workspace.
        embedder: the tune artifact.
        corpus: the ingest artifact.
    """

    name: str
    store: Store
    embedder: ArtifactRef
    corpus: ArtifactRef

    @property
    def identity(self) -> dict[str, str]:
        """What it and its corpus are, wherever they lie."""
        return {"embedder": self.embedder.content_id, "corpus": self.corpus.content_id}

    def folders(self) -> tuple[Path, Path]:
        """The embedder's and the corpus's, every byte verified.

        Raises:
            ArtifactError: one of them is damaged.
        """
        embedder, corpus = (self.store.resolve(ref) for ref in (self.embedder, self.corpus))
        return embedder.path, corpus.path


def other_embedders(folders: Sequence[str]) -> list[OtherEmbedder]:
    """The embedders in these folders, ``<workspace>/artifacts/tune/<input_id>`` each; only
    manifests are read.

    Raises:
        RequestError: a folder is missing or no such artifact, its corpus is gone, or two would have
            one name.
        ArtifactError: a manifest is damaged, or another corpus lies where the embedder's lay.
    """
    named = named_artifacts(folders, stage="tune", what="embedder", setting=SETTING)
    return [
        OtherEmbedder(
            name=name,
            store=one.store,
            embedder=one.artifact.ref,
            corpus=_corpus_of(one.artifact, one.store, one.folder),
        )
        for name, one in named.items()
    ]


def _corpus_of(embedder: Artifact, store: Store, folder: str) -> ArtifactRef:
    entry = embedder.manifest.inputs.get(_CORPUS)
    if entry is None:
        raise ArtifactError(f"{SETTING}: the manifest in {folder} names no corpus; run tune again")
    named = ArtifactRef(
        stage=_CORPUS,
        input_id=entry.input_id,
        content_id=entry.content_id,
        path=artifact_path(_CORPUS, entry.input_id),
    )
    place = f"{store.workspace.location}/{named.path}"
    advice = f"run ingest with its settings in {store.workspace.location} or compare with another"
    if not store.has(named):
        raise RequestError(
            f"{SETTING}: the corpus of {folder} is gone from {place}, so its test documents are "
            f"not known; {advice}"
        )
    corpus = store.get(_CORPUS, entry.input_id).ref
    if corpus.content_id != entry.content_id:
        raise ArtifactError(
            f"{SETTING}: {place} is not the corpus that {folder} was made from, its content is "
            f"{corpus.content_id} instead of {entry.content_id}; {advice}"
        )
    return corpus
