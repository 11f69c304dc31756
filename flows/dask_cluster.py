"""Spreads the shards of a run over Dask workers, on this machine or on several.

Dask carries a function's name, small tasks and small results; all files go through the workspace,
which every worker must see at the same path. What the workers make is the same, byte for byte, as
what this process would make, so nothing of this enters an artifact's identity.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from flows.config import WorkersConfig
from model.errors import CorpusmithError, RequestError
from tasks.runtime.dask_worker import describe_worker, run_task
from tasks.store.workspace import Workspace

Task = TypeVar("Task")
Result = TypeVar("Result")

LOCAL = "local:"
ANSWER_S = 10.0  # for a scheduler, and for its workers
POLL_S = 1.0
CLOSE_S = 5.0
SHARDS_PER_THREAD = 2  # handed out ahead, so that no worker waits for its next shard
MAX_SHARDS = 256  # handed out at once; each has a thread of this process that waits for it


class DaskWorkers:
    """The workers of one scheduler; satisfies `tasks.stage.RemoteWorkers`."""

    def __init__(self, client: Any, config: WorkersConfig) -> None:
        self._client = client
        self._config = config
        self._lock = threading.Lock()
        self._waiting: set[Any] = set()
        self._is_over = False

    @property
    def num_shards(self) -> int:
        """How many shards to hand out at once."""
        num_threads: int = sum(self._client.ncores().values())
        return max(1, min(MAX_SHARDS, SHARDS_PER_THREAD * num_threads))

    def call(
        self, function: Callable[..., Result], task: Task, *, told: str | None = None
    ) -> Result:
        """As `tasks.stage.RemoteWorkers.call`."""
        from distributed import KilledWorker

        name = f"{function.__name__}-{secrets.token_hex(8)}"
        with self._lock:
            self._refuse_if_over()
            future = self._client.submit(run_task, function, task, told, key=name, pure=False)
            self._waiting.add(future)
        try:
            self._wait(future)
            result: Result = future.result()
            return result
        except CancelledError:
            self._refuse_if_gone()
            raise
        except KilledWorker:
            raise CorpusmithError(
                f"{function.__name__}: every Dask worker that took one of its shards was killed; "
                "if memory ran out, give the workers fewer threads; the same command goes on"
            ) from None
        finally:
            self._waiting.discard(future)
            future.release()

    def abandon(self) -> None:
        """Let the workers stop what they are at, and hand out nothing more."""
        with self._lock:
            self._is_over = True
            with contextlib.suppress(Exception):  # a scheduler that is gone has let go of all
                self._client.cancel(list(self._waiting), force=True)

    def _wait(self, future: Any) -> None:
        """Until it is done or failed.

        Raises:
            CorpusmithError: the run is over, the scheduler is gone, or all workers are for long.
        """
        served_s = time.monotonic()
        while not future.done():
            with contextlib.suppress(TimeoutError):
                future.exception(timeout=POLL_S)
                return
            self._refuse_if_gone()
            if self._client.ncores():
                served_s = time.monotonic()
            elif time.monotonic() - served_s > self._config.deadline_s:
                raise CorpusmithError(
                    f"workers.dask = {self._config.dask}: no worker is left, for "
                    f"{self._config.deadline_s:g} s now: start some and run the same command again"
                )
        self._refuse_if_gone()

    def _refuse_if_over(self) -> None:
        if self._is_over:
            raise CorpusmithError("stopped: the same command goes on")

    def _refuse_if_gone(self) -> None:
        self._refuse_if_over()
        if self._client.status != "running":
            raise CorpusmithError(
                f"workers.dask = {self._config.dask}: the scheduler is gone: when it is back, the "
                "same command goes on"
            )


@contextlib.contextmanager
def dask_workers(config: WorkersConfig, location: str) -> Iterator[DaskWorkers | None]:
    """The workers that the settings name, for the length of the block; None where they name none.

    Args:
        config: says where the scheduler is, or how many processes to start here.
        location: of the workspace.

    Raises:
        RequestError: Dask is not installed; the scheduler does not answer or has no workers; or
            they are of another version, or do not see the workspace. Nothing has run then.
    """
    if config.dask is None:
        yield None
        return
    distributed = _import_distributed()
    opened = Workspace.open(location)
    if opened.bucket and not config.dask.startswith(LOCAL):
        raise RequestError(
            f"workers.dask = {config.dask}: shards on other machines need a workspace in a folder "
            f"that all of them see, and {location} is in a bucket: name such a folder, or local:N"
        )
    workspace = opened.path
    with contextlib.ExitStack() as stack:
        address, security = config.dask, None
        if config.dask.startswith(LOCAL):
            num = int(config.dask.removeprefix(LOCAL))
            cluster = stack.enter_context(_local_cluster(distributed, num))
            address, security = cluster.scheduler_address, cluster.security
        client = _connect(distributed, address, security)
        stack.callback(client.close, CLOSE_S)
        _refuse_unfit(client, config, workspace)
        workers = DaskWorkers(client, config)
        stack.callback(workers.abandon)
        yield workers


def _import_distributed() -> ModuleType:
    try:
        import distributed
    except ModuleNotFoundError:
        raise RequestError(
            'workers.dask needs Dask: pip install "corpusmith[dask]", or leave it out'
        ) from None
    module: ModuleType = distributed
    return module


@contextlib.contextmanager
def _local_cluster(distributed: ModuleType, num_processes: int) -> Iterator[Any]:
    """Processes of our own: on loopback, behind keys that only they have, without web pages."""
    import dask

    pages: dict[str, list[str]] = {
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with dask.config.set(pages):
        cluster = distributed.LocalCluster(
            n_workers=num_processes,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=distributed.security.Security.temporary(),
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=None,
            silence_logs=logging.CRITICAL,  # what goes wrong is told in a line of our own
        )
    try:
        yield cluster
    except BaseException:  # what they are at is of no use any more
        for nanny in cluster.workers.values():
            nanny.auto_restart = False
            if nanny.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(nanny.pid, signal.SIGKILL)
        raise
    finally:
        with contextlib.suppress(TimeoutError):  # they end with this process at the latest
            cluster.close(CLOSE_S)


def _connect(distributed: ModuleType, address: str, security: Any) -> Any:
    """A client of the scheduler.

    In a thread of its own, since Dask's own deadline ends with the connection: a server of
    another kind that takes it and says nothing would be waited for for ever. A bare connection is
    tried first: a client that fails to connect prints a traceback when it is forgotten.
    """
    made: list[Any] = []

    def connect() -> None:
        # Whatever Dask makes of bytes that are not its own: of a web page, a want of memory.
        with contextlib.suppress(Exception):
            asyncio.run(_try_to_connect(distributed, address, security))
            made.append(
                distributed.Client(
                    address,
                    timeout=ANSWER_S,
                    security=security,
                    set_as_default=False,
                    name="corpusmith",
                )
            )

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(2 * ANSWER_S + POLL_S)  # for each of the two
    if not made:
        raise RequestError(
            f"workers.dask = {address}: no Dask scheduler answers there within {ANSWER_S:g} s: "
            "start one with `dask scheduler`, or correct the address; over tls:// this run needs "
            "its keys too (DASK_DISTRIBUTED__COMM__TLS__CA_FILE and the like)"
        )
    return made[0]


async def _try_to_connect(distributed: ModuleType, address: str, security: Any) -> None:
    keys = (security or distributed.security.Security()).get_connection_args("client")
    comm = await distributed.comm.connect(address, timeout=ANSWER_S, **keys)
    await comm.close()


def _refuse_unfit(client: Any, config: WorkersConfig, workspace: Path) -> None:
    probe = workspace / "state" / f".dask-{secrets.token_hex(6)}"
    probe.touch()
    try:
        ours = describe_worker(str(probe))
        found = client.run(describe_worker, str(probe), on_error="return")
    finally:
        probe.unlink(missing_ok=True)
    if not found:
        raise RequestError(
            f"workers.dask = {config.dask}: the scheduler has no workers: start some with "
            f"`dask worker {config.dask}` on machines that see {workspace}"
        )
    for worker, theirs in found.items():
        if problem := _misfit(ours, theirs, workspace):
            raise RequestError(f"workers.dask = {config.dask}: the worker {worker} {problem}")


def _misfit(ours: dict[str, Any], theirs: Any, workspace: Path) -> str | None:
    """What is wrong with a worker; None where nothing is."""
    if isinstance(theirs, BaseException):
        first = str(theirs).split("\n", 1)[0]
        return f"cannot run this version ({type(theirs).__name__}: {first}): install it there"
    if theirs["workspace"] is None:
        return f"does not see {workspace}: mount the workspace there, at the same path"
    for name, version in ours.items():
        if theirs[name] != version:
            return f"has {name} {theirs[name]}, this run has {version}: install the same there"
    return None
