"""Training in processes of their own: on this machine, or as if on two of them.

Each launch takes seconds, so that each test has as few as it can.
"""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch

from model.errors import CorpusError, RequestError, TrainingError
from model.packing import plan_packing
from model.training import TrainingInterrupted
from tasks.pretrain.config import PretrainConfig
from tasks.pretrain.launch import is_distributed, num_processes
from tasks.pretrain.request import LaunchRequest
from tasks.stage import StageContext
from tasks.tokens import write_plan
from tests.faults.table import Table
from tests.tasks.chain import Listener
from tests.tasks.pretrain.runs import digests, pretrain, upstream

HUNDRED: dict[str, Any] = {
    "max_steps": 100,
    "rows_per_step": 5,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
}
TWO: dict[str, Any] = {**HUNDRED, "num_processes": 2}


class AtStep(Listener):
    """Does something once, when so many steps are done."""

    def __init__(self, step: int, deed: Any) -> None:
        super().__init__()
        self.step, self.deed, self.is_done = step, deed, False

    def progress(self, done: int, total: int, unit: str) -> None:
        super().progress(done, total, unit)
        if done >= self.step and not self.is_done:
            self.is_done = True
            self.deed()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("upstream")
    upstream(root)
    return root


@pytest.fixture(scope="module")
def alone(root: Path) -> dict[str, float]:
    """Metrics of one process; its output is `root / "alone"`."""
    return pretrain(root, root / "alone", Listener(), **HUNDRED)


@pytest.fixture(scope="module")
def together(root: Path) -> dict[str, float]:
    """Metrics of an unbroken run of two processes; its output is `root / "together"`."""
    listener = Listener()
    metrics = pretrain(root, root / "together", listener, **TWO)
    assert listener.seen == [(step, 100, "steps") for step in range(1, 101)]
    assert listener.messages == ["pretraining begins at step 0 from fresh weights"]
    assert len(listener.examples) == 5
    steps = [step for step, values in listener.measured if "train_loss" in values]
    assert steps == list(range(10, 101, 10))
    assert not listener.warnings
    return metrics


def ranks(starter: int | None = None) -> list[psutil.Process]:
    """The training processes below this process, or below the one of that id."""
    return [
        process
        for process in psutil.Process(starter).children(recursive=True)
        if "tasks.pretrain.rank" in command_of(process)
        and "torch.distributed.run" not in command_of(process)
    ]


def listened_at() -> set[str]:
    """The addresses at which processes below this one wait to be called."""
    addresses: set[str] = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            connections = process.net_connections("inet")
            addresses |= {each.laddr.ip for each in connections if each.status == "LISTEN"}
    return addresses


def test_who_listens_is_seen() -> None:
    program = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(); input()"
    child = subprocess.Popen(
        [sys.executable, "-uc", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout
        child.stdout.readline()
        assert "127.0.0.1" in listened_at()


def command_of(process: psutil.Process) -> list[str]:
    """Nothing for one that has ended, whether somebody has taken note of it or not."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # of which a zombie is one to psutil
        return []


def curve(folder: Path, name: str) -> list[float]:
    table = pq.read_table(folder / "curves.parquet").to_pandas()
    values: list[float] = table[table.metric == name].value.tolist()
    return values


def files(folder: Path) -> set[str]:
    return set(digests(folder))


def test_two_processes_learn_as_one(
    root: Path, alone: dict[str, float], together: dict[str, float]
) -> None:
    assert files(root / "together") == files(root / "alone")
    assert together.keys() == alone.keys()
    for name in ("train_loss", "grad_norm", "validation_loss", "learning_rate"):
        ours = curve(root / "together", name)
        assert ours == pytest.approx(curve(root / "alone", name), rel=1e-5)
        assert len(ours) >= 5
    assert together["num_tokens"] == alone["num_tokens"]
    assert together["tokens_per_second"] > 0


@pytest.mark.faults
@pytest.mark.usefixtures("together")
def test_a_killed_process_starts_again_and_ends_with_the_same_bytes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    listening: set[str] = set()
    meetings: list[Path] = []

    def look_and_kill() -> None:
        listening.update(listened_at())
        meetings.extend((tmp_path / "temporary").glob("corpusmith-*/ranks-0"))
        ranks()[-1].kill()

    listener = AtStep(30, look_and_kill)
    metrics = pretrain(root, tmp_path / "out", listener, **TWO)
    assert "start again after step 25" in listener.warnings[0]
    assert len(listener.warnings) == 1
    assert listener.messages[-1] == "pretraining goes on after step 25"
    assert metrics["resumed_from_step"] == 0
    assert [done for done, _, _ in listener.seen] == list(range(1, 101))
    reported = [(step, *values) for step, values in listener.measured]
    assert len(set(reported)) == len(reported)
    assert digests(tmp_path / "out") == digests(root / "together")
    assert listening <= {"127.0.0.1"}, "strangers are heard"
    assert len(meetings) == 1
    assert not list((tmp_path / "temporary").glob("corpusmith-*"))
    table.add("SIGKILL of one of two processes", "pretrain", "starts again; the same bytes")


@pytest.mark.faults
def test_stopped_by_a_signal_it_goes_on_in_one_process(
    root: Path,
    alone: dict[str, float],
    tmp_path: Path,
    termination_is_noted: list[int],
    table: Table,
) -> None:
    stopped_at: list[float] = []

    def stop() -> None:
        stopped_at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TrainingInterrupted, match="the same command goes on") as caught:
        pretrain(root, tmp_path / "out", AtStep(30, stop), **TWO)
    assert time.monotonic() - stopped_at[0] < 10
    assert len(termination_is_noted) == 1
    assert ranks() == []
    newest = max(path.name for path in (tmp_path / "out" / "checkpoints").glob("step-*"))
    step = int(newest.removeprefix("step-"))
    assert 30 <= step < 100
    assert f"after step {step} of 100" in str(caught.value)
    listener = Listener()
    metrics = pretrain(root, tmp_path / "out", listener, **HUNDRED)
    assert listener.messages == [f"pretraining goes on after step {step}"]
    assert metrics["resumed_from_step"] == step
    assert files(tmp_path / "out") == files(root / "alone")
    for name in ("train_loss", "validation_loss"):
        expected = pytest.approx(curve(root / "alone", name), rel=1e-5)
        assert curve(tmp_path / "out", name) == expected
    assert metrics["num_tokens"] == alone["num_tokens"]
    table.add("SIGTERM of who started two processes", "pretrain", "goes on in one; the same losses")


@pytest.mark.faults
def test_failures_without_restarts_end_the_run(root: Path, tmp_path: Path, table: Table) -> None:
    listener = AtStep(5, lambda: ranks()[0].kill())
    with pytest.raises(TrainingError, match=r"failed 1 times, at last with: .*log\.txt says more"):
        pretrain(root, tmp_path / "out", listener, **TWO, max_restarts=0)
    assert ranks() == []
    table.add("SIGKILL of one of two processes, no restarts", "pretrain", "said; none is left")


def test_what_an_earlier_launch_left_in_the_log_is_not_laid_to_this_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.pretrain.launch.OWN_STORE", ("false",))  # ends at once, says nothing
    (tmp_path / "out" / "launch").mkdir(parents=True)
    (tmp_path / "out" / "launch" / "log.txt").write_text("RendezvousConnectionError: no peer\n")
    with pytest.raises(TrainingError, match="failed 4 times, at last with: no word; "):
        pretrain(root, tmp_path / "out", Listener(), **HUNDRED, **meeting())


def test_an_error_of_ours_passes_through_and_starts_nothing_again(tmp_path: Path) -> None:
    upstream(tmp_path)
    nothing = plan_packing(np.zeros(0, dtype=np.int64), row_tokens=64)
    write_plan(nothing, tmp_path / "tokenize" / "packing" / "validation.arrow")
    listener = Listener()
    with pytest.raises(CorpusError, match="the validation split holds no tokens"):
        pretrain(tmp_path, tmp_path / "out", listener, **TWO)
    assert listener.warnings == []
    assert ranks() == []


@pytest.mark.faults
def test_nobody_is_left_when_the_starter_is_killed(
    root: Path, tmp_path: Path, table: Table
) -> None:
    output = tmp_path / "out"
    program = [sys.executable, "-m", "tests.tasks.pretrain.runs", str(root), str(output), "100000"]
    own_temporary = {**os.environ, "TMPDIR": str(tmp_path)}
    starter = subprocess.Popen([*program, "num_processes=2"], env=own_temporary)
    wait_until(lambda: list(output.glob("launch/events.jsonl")) and "progress" in said(output))
    below = psutil.Process(starter.pid).children(recursive=True)
    assert len(ranks(starter.pid)) == 2
    starter.kill()
    starter.wait()
    _, left = psutil.wait_procs(below, timeout=10)
    assert list(filter(command_of, left)) == []  # a zombie has ended, too
    assert len(list(output.glob("checkpoints/step-*"))) == 1  # what had been learned is not lost
    table.add("SIGKILL of who started two processes", "pretrain", "both end, with a checkpoint")


def said(output: Path) -> str:
    return (output / "launch" / "events.jsonl").read_text()


def wait_until(is_so: Any) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class OtherMachine(Listener):
    """Runs what is said, as if on another machine.

    Args:
        killed_after: a step, after which it is killed; it then runs the same again, unless it was
            where the others meet.
        is_met: whether they meet there; of two launchers on one machine either would try to.
    """

    launcher: subprocess.Popen[bytes]
    command: list[str]

    def __init__(self, killed_after: int | None = None, *, is_met: bool = False) -> None:
        super().__init__()
        self.killed_after, self.is_met = killed_after, is_met

    def message(self, text: str) -> None:
        super().message(text)
        if " run: " in text:
            self.command = shlex.split(text.partition(" run: ")[2])
            module = self.command.index("tasks.pretrain.rank") - 1
            self.command.insert(module, f"--rdzv-conf=is_host={int(self.is_met)}")
            self.join()
            if self.is_met:
                wait_until(lambda: is_listening(text.partition(" at ")[2].split()[0]))

    def progress(self, done: int, total: int, unit: str) -> None:
        super().progress(done, total, unit)
        if done == self.killed_after:
            self.killed_after = None
            self.kill()
            if not self.is_met:
                self.join()

    def join(self) -> None:
        silent = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
        self.launcher = subprocess.Popen(self.command, **silent)

    def kill(self) -> None:
        """The launcher, and its rank, which would outlive it."""
        launcher = psutil.Process(self.launcher.pid)
        launcher.suspend()  # so that it starts no rank meanwhile
        for process in [*launcher.children(recursive=True), launcher]:
            process.kill()
        self.launcher.wait()


def is_listening(address: str) -> bool:
    host, port = address.split(":")
    with suppress(ConnectionRefusedError), socket.create_connection((host, int(port))):
        return True
    return False


def meeting() -> dict[str, Any]:
    """Settings of two machines that meet at a free port of this one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return {"num_nodes": 2, "rendezvous": f"localhost:{server.getsockname()[1]}"}


@pytest.fixture(scope="module")
def two_machines(root: Path) -> OtherMachine:
    """The second one of an unbroken run; its output is `root / "two-machines"`."""
    other = OtherMachine()
    pretrain(root, root / "two-machines", other, **HUNDRED, **meeting())
    return other


@pytest.mark.long
@pytest.mark.usefixtures("together")
def test_another_machine_joins_by_the_command_that_is_said(
    root: Path, two_machines: OtherMachine
) -> None:
    assert two_machines.launcher.wait(timeout=60) == 0
    assert files(root / "two-machines") == files(root / "together")
    for name in ("train_loss", "grad_norm", "validation_loss"):  # not the same number of threads
        expected = pytest.approx(curve(root / "together", name), rel=1e-5)
        assert curve(root / "two-machines", name) == expected


@pytest.mark.usefixtures("two_machines")
@pytest.mark.faults
def test_a_machine_that_was_killed_joins_again_by_the_same_command(
    root: Path, tmp_path: Path, table: Table
) -> None:
    other = OtherMachine(killed_after=30)
    pretrain(root, tmp_path / "out", other, **HUNDRED, **meeting())
    assert other.launcher.wait(timeout=60) == 0
    assert "start again after step 25" in other.warnings[0]
    assert other.messages[-1] == "pretraining goes on after step 25"
    assert digests(tmp_path / "out") == digests(root / "two-machines")
    table.add("SIGKILL of one of two machines", "pretrain", "joins again; the same bytes")


@pytest.mark.usefixtures("two_machines")
@pytest.mark.faults
def test_where_the_machines_meet_is_killed_it_is_said_and_they_go_on(
    root: Path, tmp_path: Path, table: Table
) -> None:
    there = meeting()
    lost = f"{there['rendezvous']}, where the machines meet, went away, at last with: "
    with pytest.raises(TrainingError, match=lost):
        pretrain(root, tmp_path / "out", OtherMachine(30, is_met=True), **HUNDRED, **there)
    other = OtherMachine(is_met=True)
    pretrain(root, tmp_path / "out", other, **HUNDRED, **there)
    assert other.launcher.wait(timeout=60) == 0
    assert "pretraining goes on after step" in other.messages[-1]
    assert digests(tmp_path / "out") == digests(root / "two-machines")
    table.add("SIGKILL of the machine where two meet", "pretrain", "named; the same bytes after")


def test_more_processes_than_rows_are_refused_at_once(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="6 processes cannot share an update of 5 rows"):
        pretrain(root, tmp_path / "out", Listener(), **HUNDRED, num_processes=6)
    with pytest.raises(RequestError, match="3 processes cannot share an update of 2 rows"):
        pretrain(
            root, tmp_path / "out", Listener(), **HUNDRED, num_processes=3, initial_rows_per_step=2
        )


def test_auto_is_a_process_for_each_gpu_and_one_without() -> None:
    assert num_processes(PretrainConfig(num_processes="auto")) == max(1, torch.cuda.device_count())
    assert num_processes(PretrainConfig(num_processes=3)) == 3
    assert not is_distributed(PretrainConfig())
    assert is_distributed(PretrainConfig(num_nodes=2, rendezvous="localhost:1"))


def test_the_request_holds_what_a_rank_needs_and_no_more(root: Path, tmp_path: Path) -> None:
    settings = PretrainConfig(num_processes=2, init_from=Path("given"))
    context = StageContext(settings, upstream(root), tmp_path, Listener())
    LaunchRequest.of(context, tmp_path / "events").write(tmp_path / "request.json")
    again = LaunchRequest.read(tmp_path / "request.json").context(Listener())
    assert again.inputs["vocab"].ref == context.inputs["vocab"].ref
    assert again.inputs["tokenize"].path == context.inputs["tokenize"].path
    assert again.config == settings.model_copy(update={"init_from": Path("given").absolute()})
    assert again.output == tmp_path
