"""Prefect's API killed or hanging during a run: work goes on, is kept, and ends when it is told."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows import prefect_server
from flows.graph import StageName, stages_for
from flows.local_server import LocalServer
from tasks.store.run_records import STOPPED
from tests.faults.outcomes import committed
from tests.faults.stages import SETTINGS, config_of, store_of, without, write_corpus
from tests.faults.table import Table
from tests.flows.chain import plain
from tests.flows.prefect_api import start_server

WAIT_S = 600.0  # for what takes seconds: machines can be busy
AGAIN_S = 5.0
SERVER = prefect_server.__file__
GRACE_S = 10.0
FORGETS_S = 6.0  # Prefect remembers for 5 s that a task needs no leave of its API
PATIENCE = {"PREFECT_CLIENT_MAX_RETRIES": "2"}  # 6 s: its default is a minute for each call
NUM_STEPS = 600  # some seconds of training, in which pages are to be written
READ, COUNTED = "staging/ingest/*/*/scratch/*/done.json", "staging/vocab/*/*/scratch/counts/*.json"
CHECKPOINT = "staging/pretrain/*/*/checkpoints/step-*"

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3 * WAIT_S)]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """So many that a stage can be met in its middle."""
    write_corpus(tmp_path / "documents", 400)
    return tmp_path / "documents"


@contextlib.contextmanager
def shared_server(home: Path) -> Iterator[LocalServer]:
    """A Prefect that others use, too."""
    server = start_server(home)
    try:
        server.wait_until_ready(WAIT_S)
        yield server
    finally:
        server.stop()


def start(
    stage: StageName, corpus: Path, workspace: Path, environment: dict[str, str], **more: object
) -> "subprocess.Popen[str]":
    """A stage and what it stands on, as somebody types it."""
    settings = {name: dict(SETTINGS[name]) for name in stages_for(stage, config_of(corpus))}
    settings[stage] |= more
    options = [
        word
        for name, values in settings.items()
        for key, value in values.items()
        for word in (f"--{name}.{key}", str(value))
    ]
    options += ["--workspace", str(workspace), "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "flows", stage, str(corpus), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=plain() | environment,
    )


def wait_for(workspace: Path, pattern: str, process: "subprocess.Popen[str]") -> Path:
    deadline_s = time.monotonic() + WAIT_S
    while process.poll() is None:
        for path in workspace.glob(pattern):
            return path
        assert time.monotonic() < deadline_s, f"no {pattern}"
        time.sleep(0.005)
    raise AssertionError(f"no {pattern}: {process.communicate()}")


def artifact_of(stage: StageName) -> str:
    return f"artifacts/{stage}/*/MANIFEST.json"


def answer_of(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What became of the stages of a run that ends well."""
    out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err[-4000:]
    found: dict[str, Any] = json.loads(out)["artifacts"]
    return found


def line_of(process: "subprocess.Popen[str]", status: int) -> str:
    """The last line of one that does not; nothing of Prefect's stands before it."""
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == status, err[-4000:]
    assert "Traceback" not in err
    line = err.splitlines()[-1]
    assert line.startswith("corpusmith: "), err[-4000:]
    return line


def servers_below(process_id: int) -> list[psutil.Process]:
    """What serves an API, without the tether: the rest of that process's family."""
    below = psutil.Process(process_id).children(recursive=True)
    return [each for each in below if not any("tether.py" in word for word in each.cmdline())]


def api_of(server: LocalServer) -> list[psutil.Process]:
    return servers_below(server._process.pid)


@contextlib.contextmanager
def stopped(processes: list[psutil.Process]) -> Iterator[None]:
    assert processes
    for each in processes:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in processes:
            each.send_signal(signal.SIGCONT)


def kill_in_the_middle(api: list[psutil.Process], run: "subprocess.Popen[str]") -> None:
    """The API of a run that goes on only when it must ask again for everything."""
    assert api
    run.send_signal(signal.SIGSTOP)
    for each in api:
        each.kill()
    time.sleep(FORGETS_S)
    run.send_signal(signal.SIGCONT)


def test_a_runs_own_api_that_is_killed_is_started_again(
    documents: Path, tmp_path: Path, table: Table
) -> None:
    workspace = tmp_path / "workspace"
    run = start("ingest", documents, workspace, {})
    wait_for(workspace, READ, run)
    [api] = [each for each in servers_below(run.pid) if SERVER in each.cmdline()]
    kill_in_the_middle([api], run)
    made = answer_of(run)["ingest"]
    assert not made["reused"]
    assert committed(workspace, "ingest") == [made["content_id"]]
    table.add("its own Prefect API killed in the middle", "ingest", "started again; status 0")


def test_sigterm_again_and_again_lets_a_flow_clear_up(
    documents: Path, tmp_path: Path, table: Table
) -> None:
    workspace = tmp_path / "workspace"
    run = start("ingest", documents, workspace, {})
    wait_for(workspace, READ, run)
    told_s = time.monotonic()
    while run.poll() is None:
        assert time.monotonic() - told_s < WAIT_S
        run.terminate()
        time.sleep(0.005)
    ended_s = time.monotonic() - told_s
    assert "stopped by SIGTERM: run the same command again" in line_of(run, 143)
    assert ended_s < GRACE_S
    assert not store_of(workspace).is_at_work("ingest")
    [record] = store_of(workspace).workspace.runs()
    assert record["state"] == STOPPED
    happened = f"143 within {ended_s:.1f} s; the lease free, the record says stopped"
    table.add("SIGTERM hundreds of times in a flow", "ingest", happened)


def test_a_stage_whose_shared_api_is_killed_commits_and_the_run_ends_in_a_line(
    documents: Path, tmp_path: Path, table: Table
) -> None:
    workspace, home = tmp_path / "workspace", tmp_path / "prefect"
    with shared_server(home) as server:
        run = start("ingest", documents, workspace, {"PREFECT_API_URL": f"{server.url}/api"})
        wait_for(workspace, READ, run)
        kill_in_the_middle(api_of(server), run)
        wait_for(workspace, artifact_of("ingest"), run)
    told_s = time.monotonic()
    run.terminate()  # while it asks for the API
    assert "stopped by SIGTERM: run the same command again" in line_of(run, 143)
    ended_s = time.monotonic() - told_s
    assert ended_s < GRACE_S
    happened = f"the stage commits; then SIGTERM: 143 within {ended_s:.1f} s"
    table.add("a shared Prefect API killed in the middle", "ingest", happened)

    with shared_server(home) as server:
        there = {"PREFECT_API_URL": f"{server.url}/api"} | PATIENCE
        run = start("tokenize", documents, workspace, there)
        wait_for(workspace, COUNTED, run)
        kill_in_the_middle(api_of(server), run)
        wait_for(workspace, artifact_of("vocab"), run)
        done_s = time.monotonic()
        line = line_of(run, 1)
    ended_s = time.monotonic() - done_s
    assert "went away: what is finished stays: run the same command again" in line
    happened = f"the stage commits; one line, status 1, {ended_s:.0f} s later (2 tries for a call)"
    table.add("a shared Prefect API killed in the middle", "vocab", happened)

    assert len(committed(workspace, "vocab")) == 1


def test_training_does_not_wait_for_a_shared_api_that_hangs(
    corpus: Path, tokens: Path, tmp_path: Path, table: Table
) -> None:
    workspace = without(tokens, tmp_path / "workspace", {"pretrain"})
    with shared_server(tmp_path / "prefect") as server:
        there = {"PREFECT_API_URL": f"{server.url}/api"}
        run = start("pretrain", corpus, workspace, there, max_steps=NUM_STEPS)
        wait_for(workspace, CHECKPOINT, run)
        with stopped(api_of(server)):
            wait_for(workspace, artifact_of("pretrain"), run)
        first = answer_of(run)
        assert not first["pretrain"]["reused"]
        happened = "training goes on and commits; status 0"
        table.add("a shared Prefect API hangs and comes back", "pretrain", happened)

        second = answer_of(start("pretrain", corpus, workspace, there, max_steps=NUM_STEPS))
        slowest_s = max(made["seconds"] for made in second.values())
        assert all(made["reused"] for made in second.values())
        assert slowest_s < AGAIN_S
        assert contents(second) == contents(first)
        happened = f"the same artifacts, {slowest_s:.1f} s"
        table.add("the same tasks twice", "ingest to pretrain", happened)

        run = start("pretrain", corpus, workspace, there, max_steps=NUM_STEPS, seed=1)
        wait_for(workspace, CHECKPOINT, run)
        with stopped(api_of(server)):
            told_s = time.monotonic()
            run.terminate()
            assert "stopped by SIGTERM: run the same command again" in line_of(run, 143)
            ended_s = time.monotonic() - told_s
        assert ended_s < GRACE_S
        assert list(workspace.glob(CHECKPOINT))
        happened = f"143 within {ended_s:.1f} s; its checkpoint is there"
        table.add("SIGTERM while a shared Prefect API hangs", "pretrain", happened)


def contents(made: dict[str, Any]) -> dict[str, str]:
    return {stage: each["content_id"] for stage, each in made.items()}
