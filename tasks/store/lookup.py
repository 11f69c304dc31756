"""Finds the committed answer to a request, and trusts none that is damaged or out of date."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.errors import ArtifactError
from tasks.store.artifact import Artifact, ArtifactRef, artifact_from
from tasks.store.aside import set_aside
from tasks.store.errors import FormatError, UnreadableError
from tasks.store.identity import Identity
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
            reasons = flaws_of(artifact, self.memory)
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
        except (FormatError, UnreadableError):
            raise
        except ArtifactError as error:
            reasons = [str(error)]
        else:
            reasons = stale_inputs(artifact.manifest, inputs) or flaws_of(artifact, self.memory)
            if not reasons:
                return artifact
        place = set_aside(self.workspace, folder, seen, reasons)
        if place:
            self._tell(folder, reasons, place)
        return None

    def _tell(self, folder: Path, reasons: list[str], place: Path) -> None:
        more = f" and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        old, new = (path.relative_to(self.workspace.path) for path in (folder, place))
        self.warn(f"{old}: {reasons[0]}{more}; set aside in {new}, it will be made again")


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
