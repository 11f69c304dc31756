"""Runs functions in a set number of processes, or in this one where that number is one."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self, TypeVar

from model.errors import CorpusmithError

Task = TypeVar("Task")
Result = TypeVar("Result")

_BYTES_PER_WORKER = 2**26
_PARENT_CHECK_S = 1.0


class WorkerDiedError(CorpusmithError):
    """A worker process was killed, most often because memory ran out."""


def choose_num_workers(wanted: int | None, num_bytes: int) -> int:
    """The number asked for, else one for each processor and 64 MiB of input."""
    if wanted is not None:
        return wanted
    processors = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    return max(1, min(processors or 1, num_bytes // _BYTES_PER_WORKER))


class Workers:
    """Processes that live as long as the context; they end when this process does, however."""

    def __init__(self, num_workers: int) -> None:
        self._num_workers = num_workers
        self._one_at_a_time = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._num_workers > 1:
            self._pool = ProcessPoolExecutor(
                self._num_workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_end_with_parent,
                initargs=(os.getpid(),),
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        # The pool has no public way to stop workers in the middle of something before 3.14.
        processes = list((self._pool._processes or {}).values())
        if error is not None:  # what they are at is of no use any more
            for process in processes:
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def are_here(self) -> bool:
        """Whether the work is done in this very process."""
        return self._pool is None

    def call(self, function: Callable[..., Result], task: Task, **options: Any) -> Result:
        """The function's result; may be called from several threads.

        Raises:
            WorkerDiedError: the process that ran it was killed.
            Exception: whatever the function raises.
        """
        if self._pool is None:
            with self._one_at_a_time:  # the interpreter's lock lets no two run anyway
                return function(task, **options)
        try:
            future: Future[Result] = self._pool.submit(function, task, **options)
            return future.result()
        except BrokenProcessPool:
            raise WorkerDiedError(
                "ingest: a worker process was killed; if memory ran out, lower ingest.num_workers"
            ) from None


def _end_with_parent(parent: int) -> None:
    """Watch the parent: a worker of a killed parent would wait for work for ever."""

    def watch() -> Any:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
