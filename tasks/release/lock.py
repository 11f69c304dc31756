"""Lets one publisher at a time compare and switch."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from model.errors import ArtifactError
from tasks.store.workspace import Workspace

_PATIENCE_S = 30.0


@contextlib.contextmanager
def publishing(workspace: Workspace) -> Iterator[None]:
    """Nobody else publishes during the block; the lock of a process that died is gone with it.

    Raises:
        ArtifactError: another publisher does not end; the work of one takes milliseconds.
    """
    descriptor = os.open(workspace.published / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for(descriptor, workspace)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, workspace: Workspace) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() > deadline_s:
                raise ArtifactError(
                    f"{workspace.published}: another process is publishing and does not end: "
                    "stop it and run again"
                ) from error
            time.sleep(0.02)
