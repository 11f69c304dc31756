"""An artifact: a committed, immutable result of one stage, and the reference that names it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.errors import ArtifactError
from tasks.store.identity import STAGE_PATTERN
from tasks.store.manifest import Manifest


class ArtifactRef(BaseModel):
    """Names an artifact in a workspace; JSON, so it can pass between tasks and machines.

    Attributes:
        stage: the stage that made it.
        input_id: the request it answers.
        content_id: the content it has.
        path: its folder relative to the workspace, ``artifacts/<stage>/<input_id>``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str = Field(pattern=STAGE_PATTERN)
    input_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    content_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    path: str

    @model_validator(mode="after")
    def _lies_where_it_must(self) -> Self:
        if self.path != artifact_path(self.stage, self.input_id):
            raise ValueError(f"{self.path!r} is not the path of {self.stage}/{self.input_id}")
        return self


@dataclass(frozen=True)
class Artifact:
    """An artifact on this machine.

    Attributes:
        ref: its name.
        path: its folder, absolute.
        manifest: what it consists of.
    """

    ref: ArtifactRef
    path: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """The absolute path of one of its files.

        Raises:
            ArtifactError: the manifest lists no file of that name.
        """
        if all(file.name != name for file in self.manifest.files):
            raise ArtifactError(f"{self.ref.path} has no file {name!r}: its manifest lists none")
        return self.path / name


def artifact_path(stage: str, input_id: str) -> str:
    """Where the answer to a request lies, relative to the workspace."""
    return f"artifacts/{stage}/{input_id}"


def artifact_from(path: Path, manifest: Manifest) -> Artifact:
    """The artifact that lies in `path` under this manifest."""
    identity = manifest.identity
    ref = ArtifactRef(
        stage=identity.stage,
        input_id=identity.input_id,
        content_id=manifest.content_id,
        path=artifact_path(identity.stage, identity.input_id),
    )
    return Artifact(ref, path, manifest)
