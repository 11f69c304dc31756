"""Finds the committed answer to a request, and trusts none that is damaged or out of date."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.errors import ArtifactError, RequestError
from tasks.store.artifact import Artifact, ArtifactRef, artifact_from
from tasks.store.aside import set_aside
from tasks.store.errors import FormatError, UnreadableError
from tasks.store.identity import Identity
from tasks.store.lease import Seat, is_held
from tasks.store.lease_files import FolderSeat
from tasks.store.manifest import Manifest, read_manifest
from tasks.store.verification import Memory, flaws_of
from tasks.store.workspace import Workspace


@dataclass(frozen=True)
class Lookup:
    """Looks artifacts up in a workspace, says what it sets aside, remembers what it verified."""

    workspace: Workspace
    warn: Callable[[str], None]
    memory: Memory

    def read(self, stage: str, input_id: str) -> Artifact:
        """The artifact of that name, its files unverified.

        Raises:
            FormatError: a newer corpusmith wrote it.
            ArtifactError: there is none, or its manifest is damaged or another artifact's.
        """
        folder = self.workspace.artifact_folder(stage, input_id)
        artifact = artifact_from(folder, read_manifest(folder))
        if (artifact.ref.stage, artifact.ref.input_id) != (stage, input_id):
            raise ArtifactError(
                f"{folder} holds the manifest of another artifact, {artifact.ref.path}"
            )
        return artifact

    def resolve(self, ref: ArtifactRef) -> Artifact:
        """The very artifact that the reference names, every byte verified.

        Raises:
            FormatError: a newer corpusmith wrote it.
            UnreadableError: the disk or its permissions stand in the way.
            ArtifactError: there is none, it is damaged, or it has other content by now.
        """
        artifact = self.read(ref.stage, ref.input_id)
        if artifact.ref.content_id != ref.content_id:
            reasons = [f"its content is {artifact.ref.content_id}, not {ref.content_id}"]
        else:
            reasons = self.flaws(artifact)
        if reasons:
            raise ArtifactError(
                f"{ref.path} cannot be read from: {reasons[0]}; run {ref.stage} again"
            )
        return artifact

    def find(self, identity: Identity, inputs: Mapping[str, ArtifactRef]) -> Artifact | None:
        """The verified answer to the request, made from exactly these inputs; else None.

        Raises:
            FormatError: a newer corpusmith wrote it.
            UnreadableError: the disk or its permissions stand in the way.
        """
        folder = self.workspace.artifact_folder(identity.stage, identity.input_id)
        try:
            seen = folder.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            artifact = self.read(identity.stage, identity.input_id)
            reasons = stale_inputs(artifact.manifest, inputs) or flaws_of(artifact, self.memory)
            if not reasons:
                return artifact
        except (FormatError, UnreadableError):
            raise
        except ArtifactError as error:
            reasons = [str(error)]
        place = set_aside(self.workspace, folder, seen, reasons)
        if place:
            self._tell(folder, reasons, place)
        return None

    def has(self, ref: ArtifactRef) -> bool:
        """Whether an artifact of that name is there, of whatever content."""
        return (self.workspace.path / ref.path).exists()

    def flaws(self, artifact: Artifact) -> list[str]:
        """What is wrong with the files in the artifact's folder, see `flaws_of`."""
        return flaws_of(artifact, self.memory)

    def damage(self, artifact: Artifact) -> list[str]:
        """What is wrong with its files where the workspace keeps them; reads every byte anew."""
        return flaws_of(artifact)

    def folder_of(self, ref: ArtifactRef) -> Path:
        """An artifact's folder, to be read from.

        Raises:
            ArtifactError: it had to be fetched and is not there, or damaged.
        """
        return self.workspace.path / ref.path

    def names(self, stage: str = "*") -> Iterator[tuple[str, str]]:
        """(stage, input_id) of all artifacts, or a stage's, sorted; some may be unreadable."""
        for folder in sorted(self.workspace.artifacts.glob(f"{stage}/*")):
            if not folder.name.startswith("."):
                yield folder.parent.name, folder.name

    def read_all(self, stage: str = "*") -> Iterator[Artifact | ArtifactError]:
        """All artifacts, or a stage's, unverified; an error stands for one that is unreadable."""
        for name in self.names(stage):
            try:
                yield self.read(*name)
            except ArtifactError as error:
                yield error

    def locate(self, path: Path) -> tuple[str, str]:
        """(stage, input_id) of the artifact that is `path`, or holds it.

        Raises:
            RequestError: it does not exist or lies in no artifact of this workspace.
        """
        found = next(self._candidates(path), None)
        if found is None:
            raise RequestError(f"{path} does not exist: give an artifact or a file inside one")
        try:
            stage, input_id, *_ = found.relative_to(self.workspace.artifacts.resolve()).parts
        except ValueError as error:
            raise RequestError(
                f"{path} lies in no artifact of {self.workspace.path}: give a file below "
                "artifacts/ or published/embeddings"
            ) from error
        return stage, input_id

    def seat(self, stage: str, input_id: str) -> Seat:
        """Where the lease on a request lies."""
        return FolderSeat(self.workspace.leases / stage / input_id)

    def is_at_work(self, stage: str = "*") -> bool:
        """Whether someone may be working on any request, as far as one look can tell."""
        return any(
            is_held(FolderSeat(folder).newest())
            for folder in self.workspace.leases.glob(f"{stage}/*")
            if folder.is_dir() and not folder.is_symlink() and folder.name[0] != "."
        )

    def _candidates(self, path: Path) -> Iterator[Path]:
        """`path` as it is given, else below the workspace, as references name it."""
        for place in (path, self.workspace.path / path):
            if place.exists():
                yield place.resolve()

    def _tell(self, folder: Path, reasons: list[str], place: Path) -> None:
        more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        old, new = (path.relative_to(self.workspace.path) for path in (folder, place))
        self.warn(f"{old}: {reasons[0]}{more}; set aside in {new}, it will be made again")


def lookup_of(workspace: Workspace, warn: Callable[[str], None]) -> Lookup:
    """What looks artifacts up where the workspace keeps them."""
    if workspace.bucket:
        from tasks.store.remote.lookup import BucketLookup

        return BucketLookup(workspace, warn, Memory())
    return Lookup(workspace, warn, Memory())


def stale_inputs(manifest: Manifest, inputs: Mapping[str, ArtifactRef]) -> list[str]:
    """The upstream artifacts that are others now than when the artifact was made, one line each."""
    return [
        f"it was made from another {name}: content {_content(manifest, name)}, "
        f"now {inputs[name].content_id if name in inputs else 'none'}"
        for name in sorted({*manifest.inputs, *inputs})
        if name not in inputs or _content(manifest, name) != inputs[name].content_id
    ]


def _content(manifest: Manifest, name: str) -> str:
    entry = manifest.inputs.get(name)
    return entry.content_id if entry else "none"
