"""Pages that quote documents, sent to the tracker while a stage still runs.

The tracker fetches a file after it was told of it, and perhaps only at the next start. So the
files stay until the queue that names them has been emptied.
"""

import shutil
from pathlib import Path

from tasks.store.atomic import write_atomic
from tasks.tracking.replay import SPOOL_FOLDER
from tasks.tracking.tracker import StageTrack

EXAMPLES_FOLDER = "examples"  # in the workspace's state folder


class Examples:
    """The pages of one stage in one run; make one only while the user allows quoting.

    Args:
        state_folder: of the workspace.
        run_id: corpusmith's id of the run.
        track: whom they are sent to.
    """

    def __init__(self, state_folder: Path, run_id: str, track: StageTrack) -> None:
        self._folder = state_folder / EXAMPLES_FOLDER / run_id
        self._track = track

    def show(self, name: str, text: str) -> None:
        """Send the page as a file of that name; a later one of the same name replaces it.

        Raises:
            DiskFullError: it does not fit.
            OSError: the state folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._folder / name, text.encode(), durable=False)
        self._track.artifact(self._folder / name)


def remove_sent(state_folder: Path) -> None:
    """Remove the pages of runs whose queues have been emptied, and of no others."""
    for folder in (state_folder / EXAMPLES_FOLDER).glob("*"):
        if not (state_folder / SPOOL_FOLDER / f"{folder.name}.jsonl").exists():
            shutil.rmtree(folder, ignore_errors=True)
