"""What a fault led to: how a stage ended as the command line has it, and what a reader finds."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from flows.cli import exit_status
from flows.graph import StageName
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
