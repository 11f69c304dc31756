"""What runs inside a Dask worker: a stage's function on one shard, and who the worker is."""

import hashlib
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tasks.store.surroundings import describe_surroundings

Task = TypeVar("Task")
Result = TypeVar("Result")

_PACKAGES = Path(__file__).parents[2]
_SEEN_S = 5.0  # for a shared file system to show what another machine has just written


class NobodyWaitsError(Exception):
    """The run that asked for a shard has ended or has given it to another worker."""


def run_task(function: Callable[..., Result], task: Task, told: str | None) -> Result:
    """The function's result; `told` names the argument by which it says how far it is.

    Dask stops no function that has begun. So one that tells is ended from within when the
    scheduler has let go of it, as it does where the run was stopped, killed or cut off.

    Raises:
        NobodyWaitsError: nobody wants the result any more.
        Exception: whatever the function raises.
    """
    if told is None:
        return function(task)
    from distributed import get_worker
    from distributed.worker import WORKER_ANY_RUNNING, thread_state

    worker, key = get_worker(), thread_state.key

    def go_on(done: int) -> None:
        known = worker.state.tasks.get(key)
        is_closing = worker.status not in WORKER_ANY_RUNNING  # it has lost the scheduler
        if is_closing or known is None or known.state == "cancelled":
            raise NobodyWaitsError(str(key))

    return function(task, **{told: go_on})


def describe_worker(probe: str) -> dict[str, str | None]:
    """What must be the same on every worker, for the same bytes to come out.

    Args:
        probe: a file in the workspace, which the answer says whether it is seen.
    """
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        **describe_surroundings()["libraries"],
        "corpusmith": code_digest(),
        "workspace": "seen" if _is_seen(Path(probe)) else None,
    }


def code_digest() -> str:
    """Stands for the code of the packages `model` and `tasks`."""
    digest = hashlib.sha256()
    for package in ("model", "tasks"):
        for path in sorted((_PACKAGES / package).rglob("*.py")):
            digest.update(f"{path.relative_to(_PACKAGES).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _is_seen(path: Path) -> bool:
    deadline_s = time.monotonic() + _SEEN_S
    while not path.exists():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True
