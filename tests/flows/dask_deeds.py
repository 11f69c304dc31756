"""What the tests have Dask workers do: functions of a module, as a stage's are."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from model.errors import CorpusError


def double(number: int) -> int:
    return 2 * number


def refuse(what: str) -> None:
    raise CorpusError(f"{what} cannot serve: choose another")


def die(status: int) -> None:
    os._exit(status)


def wait_the_first_time(note: Path) -> int:
    """Waits to be killed; whoever does it again finds the note and is done."""
    if note.exists():
        return os.getpid()
    note.write_text(str(os.getpid()))
    time.sleep(120)
    return 0


def go_on_until_stopped(note: Path, on_done: Callable[[int], None]) -> None:
    """Writes down how it ended."""
    note.with_suffix(".begun").touch()
    try:
        for _ in range(1200):
            time.sleep(0.1)
            on_done(1)
    except Exception as error:
        note.write_text(type(error).__name__)
        raise
