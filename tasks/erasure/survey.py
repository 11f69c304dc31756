"""Surveys a workspace for an erasure: which artifacts hold something of what goes, or learned from
it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from model.errors import ArtifactError
from tasks.erasure.downstream import Key, downstream_of, inputs_of, key_of
from tasks.erasure.targets import Found, Targets, find_in
from tasks.store.artifact import Artifact
from tasks.store.erased import Erased, read_erased
from tasks.store.errors import FormatError, UnreadableError
from tasks.store.store import Store

MODELS = ("vocab", "pretrain", "tune")
DATASETS = ("align", "export")  # rows with vectors
_ORDER = (*DATASETS, "tokenize")  # these first, all that has pages next, corpora last


@dataclass
class Survey:
    """What lies in a workspace, and what of it is concerned.

    Attributes:
        pages: of each stage, names of the files that quote documents.
    """

    store: Store
    targets: Targets
    pages: Mapping[str, Sequence[str]]

    @cached_property
    def artifacts(self) -> list[Artifact]:
        """All of the workspace."""
        return every_artifact(self.store)

    @cached_property
    def found(self) -> dict[str, Found]:
        """By input id, the corpora that hold something that goes."""
        corpora = (each for each in self.artifacts if each.ref.stage == "ingest")
        found = {each.ref.input_id: find_in(each, self.targets) for each in corpora}
        return {input_id: one for input_id, one in found.items() if one.gone}

    @cached_property
    def made_of(self) -> dict[Key, list[Found]]:
        """By artifact, the concerned corpora that it is, or was made of."""
        made: dict[Key, list[Found]] = {}
        for input_id, found in self.found.items():
            for key in downstream_of(self.artifacts, [("ingest", input_id)]):
                made.setdefault(key, []).append(found)
        return made

    @cached_property
    def concerned(self) -> list[Artifact]:
        """Every artifact that may hold something, in the order in which they are rewritten."""
        known = set(map(key_of, self.artifacts))
        lost = {key for each in self.artifacts for key in inputs_of(each)} - known
        suspect = downstream_of(self.artifacts, lost)  # of what they were made is not there
        wanted = [e for e in self.artifacts if key_of(e) in self.made_of or key_of(e) in suspect]
        return sorted(wanted, key=lambda e: (_rank(e.ref.stage), e.ref.path))

    def doc_ids_of(self, artifact: Artifact) -> frozenset[str]:
        """The ids of what goes, as the corpora of the artifact name it."""
        own = {doc_id for found in self.made_of.get(key_of(artifact), ()) for doc_id in found.gone}
        return self.targets.doc_ids | own

    def num_gone(self, artifact: Artifact) -> int:
        """How many documents go from what it is, or was made of."""
        return sum(len(found.gone) for found in self.made_of.get(key_of(artifact), ()))

    def has_learned(self, artifact: Artifact) -> bool:
        """Whether it is a model that was trained on some of them."""
        found = self.made_of.get(key_of(artifact), ())
        return artifact.ref.stage in MODELS and any(one.num_learned for one in found)

    @cached_property
    def marked(self) -> dict[Key, Erased]:
        """By artifact, what this and earlier erasures did to it."""
        found = ((key_of(each), read_erased(each.path)) for each in self.artifacts)
        return {key: erased for key, erased in found if erased}

    @property
    def content_ids(self) -> list[str]:
        """Of every artifact whose pages elsewhere may quote what goes, or what went before."""
        known = {*self.marked, *map(key_of, self.concerned)}
        wanted = downstream_of(self.artifacts, known)
        return [each.ref.content_id for each in self.artifacts if key_of(each) in wanted]

    @property
    def learned(self) -> set[str]:
        """Content ids of the models that learned from what goes, or from what went before."""
        before = {key for key, erased in self.marked.items() if erased.has_learned}
        return {
            each.ref.content_id
            for each in self.artifacts
            if key_of(each) in before or self.has_learned(each)
        }

    @property
    def twins(self) -> list[str]:
        """Ids of what goes for its content alone."""
        ids = {doc_id for found in self.found.values() for doc_id in found.gone}
        return sorted(ids - self.targets.asked)


def every_artifact(store: Store) -> list[Artifact]:
    """All of a workspace; none is passed over, since it may hold what goes.

    Raises:
        ArtifactError: the manifest of one cannot be read.
    """
    folders = sorted(store.workspace.artifacts.glob("*/[!.]*"))
    return [_artifact_in(store, folder) for folder in folders]


def _artifact_in(store: Store, folder: Path) -> Artifact:
    try:
        return store.get(folder.parent.name, folder.name)
    except (FormatError, UnreadableError):
        raise
    except ArtifactError as error:
        raise ArtifactError(
            f"{error}: what it holds cannot be erased: bring it back from a backup, or delete "
            f"{folder}; then erase again"
        ) from error


def _rank(stage: str) -> int:
    if stage in _ORDER:
        return _ORDER.index(stage)
    return len(_ORDER) + (stage == "ingest")
