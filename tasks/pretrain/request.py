"""What training processes are asked to do: the stage's context as JSON that each can read."""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from tasks.pretrain.config import PretrainConfig
from tasks.stage import Reporter, StageContext
from tasks.store.artifact import artifact_from
from tasks.store.manifest import Manifest

REQUEST_FILE = "request.json"
EVENTS_FILE = "events.jsonl"


class Upstream(BaseModel):
    """An input artifact: where it lies and what it consists of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    manifest: Manifest


class LaunchRequest(BaseModel):
    """One launch of training processes; all paths are absolute, and the same on every machine.

    Attributes:
        settings: the stage's.
        inputs: the upstream artifacts by stage.
        output: the stage's output folder.
        events: the file that the processes tell what happens in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: PretrainConfig
    inputs: dict[str, Upstream]
    output: Path
    events: Path

    @classmethod
    def of(cls, context: StageContext, events: Path) -> Self:
        """The request that asks for what the stage's context asks for."""
        settings: PretrainConfig = context.config
        if settings.init_from is not None:
            settings = settings.model_copy(update={"init_from": settings.init_from.absolute()})
        inputs = {
            name: Upstream(
                path=artifact.path.absolute(),
                manifest=artifact.manifest.model_copy(update={"information": {}}),
            )
            for name, artifact in context.inputs.items()
        }
        output = context.output.absolute()
        return cls(settings=settings, inputs=inputs, output=output, events=events.absolute())

    @classmethod
    def read(cls, path: Path) -> Self:
        """The request that `write` wrote."""
        return cls.model_validate_json(path.read_bytes())

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(self.model_dump_json(indent=1), encoding="utf-8")

    def context(self, report: Reporter) -> StageContext:
        """The stage's context again, with another reporter."""
        inputs = {name: artifact_from(up.path, up.manifest) for name, up in self.inputs.items()}
        return StageContext(self.settings, inputs, self.output, report)


def threads_per_process(num_processes: int) -> int:
    """Computing threads of each of so many training processes on this machine's processors."""
    return max(1, (os.cpu_count() or 1) // num_processes)
