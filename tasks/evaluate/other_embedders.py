"""The embedders of other runs that the user names to compare with, and what they learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.errors import ArtifactError, RequestError
from tasks.store.artifact import Artifact, ArtifactRef
from tasks.store.manifest import MANIFEST_NAME
from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tasks.system_names import OTHER_PREFIX

SETTING = "evaluate.compare_with"

_PLACE = ("artifacts", "tune")  # where they lie in their workspaces
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
    named: dict[str, str] = {}
    others = []
    for folder in folders:
        other = _other_embedder(folder)
        if other.name in named:
            raise RequestError(
                f"{SETTING}: {named[other.name]} and {folder} would both be named {other.name}; "
                "name one of them"
            )
        named[other.name] = folder
        others.append(other)
    return others


def _other_embedder(folder: str) -> OtherEmbedder:
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise RequestError(f"{SETTING}: {folder} is no folder on this machine; give its path")
    if path.parts[-3:-1] != _PLACE or not (path / MANIFEST_NAME).is_file():
        raise RequestError(
            f"{SETTING}: {folder} is no embedder that tune has finished; name a folder "
            f"{'/'.join(_PLACE)}/<id> where it was made, in its workspace"
        )
    store = Store(Workspace.at(path.parents[2]))
    embedder = store.get("tune", path.name)
    return OtherEmbedder(
        name=OTHER_PREFIX + embedder.ref.input_id[:8],
        store=store,
        embedder=embedder.ref,
        corpus=_corpus_of(embedder, store, folder),
    )


def _corpus_of(embedder: Artifact, store: Store, folder: str) -> ArtifactRef:
    entry = embedder.manifest.inputs.get(_CORPUS)
    if entry is None:
        raise ArtifactError(f"{SETTING}: the manifest in {folder} names no corpus; run tune again")
    place = store.workspace.artifact_folder(_CORPUS, entry.input_id)
    advice = f"run ingest with its settings in {store.workspace.path} or compare with another"
    if not place.is_dir():
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
