"""Training in several processes: started, followed, stopped and judged from the stage's process.

On this machine the stage starts `torch.distributed.run` (torchrun) with `tasks.pretrain.rank`.
The processes meet, train as ranks and tell through a file of events what the stage passes on.
Failed ones start again from the last checkpoint, up to `pretrain.max_restarts` times.

With `pretrain.num_nodes` > 1 each other machine joins by a command that the stage says::

    env TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 python -m torch.distributed.run --nnodes=2 \
        --nproc-per-node=8 --max-restarts=3 --monitor-interval=0.1 --shutdown-timeout=8 \
        --rdzv-backend=c10d --rdzv-endpoint=HOST:PORT --rdzv-id=ID \
        -m tasks.pretrain.rank REQUEST.json

The workspace must lie at the same path there, on a disk that all of them share, and corpusmith
must be installed in the same version. HOST is one of the machines.
"""

import os
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from model.errors import RequestError, TrainingError
from model.training import TrainingInterrupted
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.events import Follower
from tasks.pretrain.processes import TrainingProcesses
from tasks.pretrain.request import EVENTS_FILE, REQUEST_FILE, LaunchRequest, threads_per_process
from tasks.runtime.devices import pick_device
from tasks.stage import Metrics, StageContext

# With a store that outlives the ranks, those that start again find the addresses of the ones before
# (github.com/pytorch/pytorch/issues/135712) and wait for them for half an hour.
OWN_STORE = ("env", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1")
LAUNCH_FOLDER = "launch"  # in the stage's output, while it trains
LOG_FILE = "log.txt"
LOST_MEETING = "RendezvousConnectionError"  # in the log, of the machine that keeps it
POLL_S = 0.05
STOP_GRACE_S = 8.5  # for a step, its checkpoint and the end of all processes
ERROR_GRACE_S = 1.0  # a rank that waits for one that is gone would wait for long


def num_processes(config: PretrainConfig) -> int:
    """Training processes on this machine."""
    if config.num_processes == "auto":
        return max(1, torch.cuda.device_count())
    return config.num_processes


def is_distributed(config: PretrainConfig) -> bool:
    """Whether processes of their own train, and not the stage's."""
    return num_processes(config) * config.num_nodes > 1


def train_in_processes(context: StageContext, should_stop: Callable[[], bool]) -> Metrics:
    """Train to the end, which is then the last checkpoint; return what belongs to the metrics.

    Args:
        context: the stage's.
        should_stop: asked all the time; True ends the run after a step.

    Raises:
        RequestError: more processes than rows or devices.
        TrainingInterrupted: `should_stop` said so; a checkpoint is left.
        TrainingError: the processes failed too often.
        CorpusmithError: whatever a rank refuses.
    """
    config: PretrainConfig = context.config
    _refuse_too_many(config)
    with tempfile.TemporaryDirectory(prefix="corpusmith-") as meeting:
        return _train(context, Path(meeting), should_stop)


def _train(context: StageContext, meeting: Path, should_stop: Callable[[], bool]) -> Metrics:
    config: PretrainConfig = context.config
    folder = context.output.absolute() / LAUNCH_FOLDER
    command = _prepare(context, folder, meeting)
    if config.num_nodes > 1:
        context.report.message(
            f"waiting at {config.rendezvous} for {config.num_nodes} machines; on each other one "
            f"run: {shlex.join(command)}"
        )
    follower = Follower(folder / EVENTS_FILE, context.report)
    log = folder / LOG_FILE
    processes = TrainingProcesses.start(command, _environment(config), log)
    stopped = False
    try:
        stopped = _follow(processes, follower, should_stop)
    finally:
        processes.end(ERROR_GRACE_S if follower.error else STOP_GRACE_S)
        follower.deliver()
    return _outcome(follower, config, log, stopped=stopped or processes.status == 0)


def _refuse_too_many(config: PretrainConfig) -> None:
    num_local = num_processes(config)
    num_ranks = num_local * config.num_nodes
    fewest_rows = config.initial_rows_per_step or config.rows_per_step
    if num_ranks > fewest_rows:
        raise RequestError(
            f"pretrain.num_processes: {num_ranks} processes cannot share an update of "
            f"{fewest_rows} rows; lower it or raise pretrain.rows_per_step and "
            "pretrain.initial_rows_per_step"
        )
    num_gpus = 1 if ":" in config.device else torch.cuda.device_count()
    if pick_device(config.device).type == "cuda" and num_local > num_gpus:
        raise RequestError(
            f"pretrain.num_processes = {num_local} needs as many CUDA devices, but "
            f"pretrain.device = {config.device} offers {num_gpus}; lower it or choose another "
            "device"
        )


def _prepare(context: StageContext, folder: Path, meeting: Path) -> list[str]:
    """Writes the request and an empty file of events; returns the command that serves it.

    On one machine all meet by files in `meeting`: torch's store listens to every network, also
    where it is told an address, and reads what strangers send it with pickle.
    """
    folder.mkdir(exist_ok=True)
    (folder / EVENTS_FILE).touch()
    LaunchRequest.of(context, folder / EVENTS_FILE).write(folder / REQUEST_FILE)
    config: PretrainConfig = context.config
    endpoint, alone = config.rendezvous, []
    if config.num_nodes == 1:
        endpoint, alone = str(meeting / "agents"), [str(meeting)]
    return [
        *OWN_STORE,
        *(sys.executable, "-m", "torch.distributed.run", f"--nnodes={config.num_nodes}"),
        f"--nproc-per-node={num_processes(config)}",
        f"--max-restarts={config.max_restarts}",
        "--monitor-interval=0.1",
        f"--shutdown-timeout={int(STOP_GRACE_S)}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={endpoint}",
        f"--rdzv-id={context.output.absolute().name}",
        *(["--rdzv-conf=store_type=file", "--local-addr=127.0.0.1"] if alone else []),
        *("-m", "tasks.pretrain.rank", str(folder / REQUEST_FILE), *alone),
    ]


def _environment(config: PretrainConfig) -> dict[str, str]:
    threads = threads_per_process(num_processes(config))
    own = {"OMP_NUM_THREADS": str(threads)}
    if config.num_nodes == 1:
        own["GLOO_SOCKET_IFNAME"] = loopback_interface()
    return {**os.environ, **own}


def loopback_interface() -> str:
    """The name by which this machine calls the network that ends in it."""
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))


def _follow(
    processes: TrainingProcesses, follower: Follower, should_stop: Callable[[], bool]
) -> bool:
    """Passes events on until the processes end or have to; returns whether to stop was asked."""
    num_noted = 0
    while processes.are_running:
        follower.deliver()
        if follower.num_starts > num_noted:
            num_noted = follower.num_starts
            processes.note_workers()
        if follower.error:
            return False
        if should_stop():
            return True
        time.sleep(POLL_S)
    return False


def _outcome(follower: Follower, config: PretrainConfig, log: Path, *, stopped: bool) -> Metrics:
    if follower.error:
        raise follower.error
    if follower.finished is not None:
        return {**follower.finished, "resumed_from_step": float(follower.resumed_from_step or 0)}
    if stopped:  # here, or by the end of another machine's processes
        raise TrainingInterrupted(
            f"pretraining was stopped after step {follower.step} of {config.max_steps}; the same "
            "command goes on from its last checkpoint"
        )
    said = log.read_text("utf-8", errors="replace")
    raise TrainingError(
        f"{_what_failed(follower, config, said)}; {log} says more, and the same command goes on "
        "from the last checkpoint"
    )


def _what_failed(follower: Follower, config: PretrainConfig, said: str) -> str:
    """In words, of what the ranks told and what the launcher said."""
    last_lines = (line.strip() for line in reversed(said.split("\n")) if line.strip())
    reason = follower.failures[0] if follower.failures else next(last_lines, "no word")
    if config.num_nodes > 1 and LOST_MEETING in said:
        where = f"pretrain.rendezvous: {config.rendezvous}, where the machines meet"
        return f"{where}, went away, at last with: {reason}"
    return f"the training processes failed {config.max_restarts + 1} times, at last with: {reason}"
