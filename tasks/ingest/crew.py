"""Spreads the work on groups and shards: watched by the orchestrator, done by the workers."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tasks.ingest.progress import ByteProgress
from tasks.ingest.workers import Workers
from tasks.stage import RemoteWorkers, ShardMapper

Task = TypeVar("Task")
Result = TypeVar("Result")


class Crew:
    """Maps functions over tasks; each task is a shard of work to whoever watches.

    Args:
        workers: do the work, unless there are remote ones.
        map_shards: runs what waits for them.
        progress: hears of the bytes that are read.
        remote: processes elsewhere.
    """

    def __init__(
        self,
        workers: Workers,
        map_shards: ShardMapper,
        progress: ByteProgress,
        remote: RemoteWorkers | None = None,
    ) -> None:
        self._workers = workers
        self._map_shards = map_shards
        self._progress = progress
        self._remote = remote

    def map(
        self,
        function: Callable[..., Result],
        tasks: Sequence[Task],
        *,
        name: str,
        num_bytes: Callable[[Task], int] = lambda _: 0,
    ) -> list[Result]:
        """The results in the order of the tasks.

        Args:
            function: of a task; with `num_bytes` also of `on_bytes`, to be told of bytes read.
            num_bytes: how many bytes of the sources a task goes through.
        """

        def work(task: Task) -> Result:
            size = num_bytes(task)
            result = self._call(function, task, reads=size > 0)
            self._progress.finish(size)
            return result

        return self._map_shards(work, tasks, name=name) if tasks else []

    def _call(self, function: Callable[..., Result], task: Task, *, reads: bool) -> Result:
        if self._remote:
            return self._remote.call(function, task, told="on_bytes" if reads else None)
        watched: dict[str, Any] = {}
        if reads and self._workers.are_here:
            watched["on_bytes"] = self._progress.advance
        return self._workers.call(function, task, **watched)
