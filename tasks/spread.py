"""Runs a function of a module over shards: here, or in the other processes that there may be."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from tasks.progress import Progress
from tasks.stage import StageContext

Task = TypeVar("Task")
Result = TypeVar("Result")
OnDone = Callable[[int], None]


def spread(
    context: StageContext,
    function: Callable[..., Result],
    tasks: Sequence[Task],
    *,
    name: str,
    progress: Progress,
    num_done: Callable[[Result], int],
) -> list[Result]:
    """The results in the order of the tasks; the first failure is raised.

    Args:
        context: the stage's.
        function: of a module; takes a task and `on_done`, which it tells of each bit that is done.
        tasks: small; files go through the workspace.
        name: what the shards are called where they are watched.
        progress: of the stage.
        num_done: how much of it a result is, for processes elsewhere tell nothing before.
    """
    remote = context.remote

    def work(task: Task) -> Result:
        if remote is None:
            return function(task, on_done=progress.add)
        result = remote.call(function, task, told="on_done")
        progress.add(num_done(result))
        return result

    return context.map_shards(work, tasks, name=name)
