"""What a fault led to: how a stage ended as the command line has it, and what a reader finds."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from flows.cli import exit_status
from flows.graph import StageName
from tasks.store.artifact import Artifact
from tests.faults.stages import store_of

Work = Callable[[], object]


def as_command(work: Work, said: Path) -> Callable[[], None]:
    """The work as the command line does it, for a process of its own, which it ends.

    Args:
        work: what to do.
        said: where its last line goes.
    """

    def run() -> None:
        with said.open("w", encoding="utf-8") as sys.stderr:
            status = exit_status(work)
        os._exit(status)

    return run


def line_in(said: Path) -> str:
    """The one line that was said, without the command's name; a traceback fails the test."""
    line, rest = said.read_text("utf-8").split("\n", 1)
    assert not rest, line + rest
    assert line.startswith("corpusmith: "), line
    return line.removeprefix("corpusmith: ")


def committed(workspace: Path, stage: StageName) -> list[str]:
    """The content ids of the stage's artifacts that a reader finds; all there are must be whole."""
    store = store_of(workspace)
    assert not store.verify_all()
    return [artifact.ref.content_id for artifact in store.artifacts(stage)]


def lacking(workspace: Path, unbroken: Artifact, damaged: Path) -> set[str]:
    """The folders of which the artifact made there, all of it whole, lacks something.

    Without what a checkpoint lacks that was `damaged`: one before that from which training went on
    is not made again, since that would take all the steps after it.
    """
    store = store_of(workspace)
    assert not store.verify_all()
    [made] = store.artifacts(unbroken.ref.stage)
    files, expected = set(made.manifest.files), set(unbroken.manifest.files)
    assert files <= expected
    places = {str(Path(file.name).parent) for file in expected - files}
    return {place for place in places if not _is_of_checkpoint(place, damaged)}


def _is_of_checkpoint(place: str, damaged: Path) -> bool:
    match Path(place).parts:
        case ("checkpoints", step, *_):
            return step in damaged.parts
    return False
