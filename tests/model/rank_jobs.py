"""What each process of a group does in the tests of ranks: jobs in turn, results as JSON."""

import hashlib
import json
import math
import multiprocessing
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing import start_processes

from model.errors import TrainingError
from model.masked_batches import ValidationRows
from model.ranks import Ranks, joined
from model.state import load_state, save_state
from model.training import TrainingInterrupted
from model.validation import Validation
from tests.model.training_runs import CONFIG, ROW_TOKENS, MadeUpRows, Run

CPU = torch.device("cpu")
NUM_STEPS = 100
MUON_RATE = 1e-2
ADAMW: dict[str, Any] = {"settings": {"max_steps": NUM_STEPS}, "rates": {"has_muon": False}}


class LookClock:
    """A clock that moves two seconds whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


def weights_hash(model: nn.Module) -> str:
    values = [value.numpy().tobytes() for value in model.state_dict().values()]
    return hashlib.sha256(b"".join(values)).hexdigest()


def every_loss(**run: Any) -> dict[str, Any]:
    """Losses of all steps of a run and the hash of its last weights."""
    losses: list[float] = []

    def listen(run: Run) -> bool:
        losses.append(run.training.state.loss_window[-1])
        return False

    trained = Run(should_stop=listen, **run)
    trained.training.run()
    return {
        "losses": losses,
        "weights": weights_hash(trained.model),
        "num_tokens": trained.training.state.num_tokens,
        "num_reports": len(trained.metrics),
        "checkpoints": trained.checkpoints,
    }


def halves(ranks: Ranks) -> dict[str, Any]:
    """Micro batches of half a rank's rows where there are several ranks."""
    return {"micro_rows": 4 // ranks.num_ranks if ranks.num_ranks > 1 else 8}


def with_adamw(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Two micro batches a rank, but alone only one."""
    return every_loss(ranks=ranks, rows=halves(ranks), **ADAMW)


def with_muon(ranks: Ranks, folder: Path) -> dict[str, Any]:
    return every_loss(
        settings={"max_steps": NUM_STEPS}, rates={"muon_learning_rate": MUON_RATE}, ranks=ranks
    )


def nan_on_the_last(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """The loss of the last rank is not a number in step 8."""
    run = Run(ranks=ranks)
    poison_loss(run, 8, on=ranks.rank == ranks.num_ranks - 1)
    try:
        run.training.run()
    except TrainingError as error:
        return {"error": str(error), "step": run.training.state.step, "told": len(run.bad_batches)}
    return {}


def nan_and_back(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """The same, but there is a rollback to the beginning."""
    run = Run(settings={"max_rollbacks": 1}, ranks=ranks)
    poison_loss(run, 8, on=ranks.rank == ranks.num_ranks - 1)
    run.training.run()
    state = run.training.state
    return {
        "rollbacks": state.num_rollbacks,
        "skipped": state.num_skipped_rows,
        "weights": weights_hash(run.model),
    }


def ruined_on_the_last(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Update 5, after which a checkpoint is due, leaves a weight of the last rank infinite."""
    run = Run(ranks=ranks)

    def ruin(*_: Any) -> None:
        if ranks.rank == ranks.num_ranks - 1 and run.training.state.step == 4:
            run.model.head.dense.weight.data[0, 0] = math.inf

    run.optimizers.adamw.register_step_post_hook(ruin)
    try:
        run.training.run()
    except TrainingError as error:
        return {"error": str(error), "checkpoints": run.checkpoints}
    return {}


def stop_on_the_last(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Only the last rank wants to stop, after step 7."""
    last = ranks.rank == ranks.num_ranks - 1
    run = Run(should_stop=lambda run: last and run.training.state.step == 7, ranks=ranks)
    try:
        run.training.run()
    except TrainingInterrupted as error:
        return {"error": str(error), "checkpoints": run.checkpoints}
    return {}


def by_the_first_ones_clock(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Each rank has a clock of its own; those of the others stand still."""
    run = Run(
        settings={"max_steps": 10**6, "max_seconds": 60.0, "checkpoint_seconds": 7.0},
        clock=LookClock() if ranks.is_first else lambda: 0.0,
        ranks=ranks,
    )
    run.training.run()
    return {"step": run.training.state.step, "elapsed_s": run.training.state.elapsed_s}


def validated(ranks: Ranks, folder: Path) -> dict[str, Any]:
    rows = ValidationRows(
        rows=MadeUpRows(),
        config=CONFIG,
        row_tokens=ROW_TOKENS,
        max_rows=40,
        micro_rows=9,
        mask_frac=0.15,
        seed=0,
    )
    validation = Validation(
        batches=list(rows.batches()),
        token_bytes_V=torch.arange(64) % 7 + 1,
        device=CPU,
        precision=torch.float32,
        ranks=ranks,
    )
    return validation(Run().model)


def resumed(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """The last weights of a run that was stopped and goes on; compare `with_adamw`."""
    checkpoint = folder / f"checkpoint-{ranks.num_ranks}"
    checkpoint.mkdir(exist_ok=True)

    def save(run: Run) -> None:
        save_state(checkpoint, run.model, run.optimizers, run.training.state, {})

    stopped = Run(
        should_stop=lambda run: run.training.state.step == 6,
        on_checkpoint=save,
        ranks=ranks,
        rows=halves(ranks),
        **ADAMW,
    )
    with suppress(TrainingInterrupted):
        stopped.training.run()
    goes_on = Run(ranks=ranks, rows=halves(ranks), **ADAMW)
    goes_on.training.state = load_state(checkpoint, goes_on.model, goes_on.optimizers, {})
    goes_on.training.run()
    return {"weights": weights_hash(goes_on.model)}


def said(ranks: Ranks, folder: Path) -> dict[str, Any]:
    return {"said": ranks.first_says(f"ünicode of rank {ranks.rank}"), "none": ranks.first_says("")}


def poison_loss(run: Run, step: int, *, on: bool = True) -> None:
    """Makes the loss of that update (from 1) not a number, when it is first computed."""
    done: list[bool] = []

    def spoil(module: nn.Module, arguments: Any, output: Tensor) -> Tensor | None:
        if on and not done and torch.is_grad_enabled() and run.training.state.step == step - 1:
            done.append(True)
            return output * math.nan
        return None

    run.model.head.register_forward_hook(spoil)


JOBS: dict[str, Callable[[Ranks, Path], dict[str, Any]]] = {
    job.__name__: job
    for job in (
        with_adamw,
        with_muon,
        nan_on_the_last,
        nan_and_back,
        ruined_on_the_last,
        stop_on_the_last,
        by_the_first_ones_clock,
        validated,
        resumed,
        said,
    )
}


def results_of(num_ranks: int, folder: Path) -> list[dict[str, Any]]:
    """What each rank of a group of real processes made of all jobs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    multiprocessing.set_forkserver_preload([__name__])  # torch is loaded once for all ranks
    start_processes(
        _rank, args=(num_ranks, port, folder), nprocs=num_ranks, start_method="forkserver"
    )
    return [
        json.loads((folder / f"{num_ranks}-{rank}.json").read_text()) for rank in range(num_ranks)
    ]


def _rank(rank: int, num_ranks: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "WORLD_SIZE": str(num_ranks),
    }
    with joined(CPU) as ranks:
        results: dict[str, Any] = {name: job(ranks, folder) for name, job in JOBS.items()}
    results["threads"] = [name for name in _thread_names() if "gloo" in name]
    (folder / f"{num_ranks}-{rank}.json").write_text(json.dumps(results))


def _thread_names() -> list[str]:
    """Of this process, those that Python does not know of included."""
    tasks = Path("/proc/self/task")
    return [(task / "comm").read_text().strip() for task in tasks.iterdir()]
