"""Prefect's API killed during a run: told in one line at once, and what was finished stays."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.faults.stages import SETTINGS
from tests.faults.table import Table
from tests.flows.chain import plain

WAIT_S = 600.0  # for what takes seconds: machines can be busy
AGAIN_S = 5.0
PATIENCE = {"PREFECT_CLIENT_MAX_RETRIES": "2"}  # 6 s: its default is a minute for each call
DONE = "artifacts/ingest/*/MANIFEST.json"

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3 * WAIT_S)]


def start(corpus: Path, workspace: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    """``corpusmith ingest`` with a Prefect server of its own."""
    options = [
        word
        for key, value in SETTINGS["ingest"].items()
        for word in (f"--ingest.{key}", str(value))
    ]
    place = ["--workspace", str(workspace), "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "flows", "ingest", str(corpus), *options, *place],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=plain() | environment,
    )


def wait_for(workspace: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not any(workspace.glob(pattern)):
        assert time.monotonic() < deadline_s, f"no {pattern}"
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def api_of(process: "subprocess.Popen[str]") -> psutil.Process:
    """The process that serves Prefect's API for a run, below its tether."""
    [tether] = [
        each
        for each in psutil.Process(process.pid).children()
        if any(word.endswith("tether.py") for word in each.cmdline())
    ]
    [api] = tether.children()
    return api


def test_a_run_whose_api_is_killed_keeps_its_work_and_the_same_again_takes_seconds(
    corpus: Path, tmp_path: Path, table: Table
) -> None:
    workspace = tmp_path / "workspace"
    run = start(corpus, workspace, PATIENCE)
    wait_for(workspace, DONE, run)
    api_of(run).kill()
    _, err = run.communicate(timeout=WAIT_S)
    assert run.returncode == 1, err
    assert "went away" in err.splitlines()[-1]
    assert "run the same command again" in err.splitlines()[-1]
    [made] = workspace.glob(DONE)

    again = start(corpus, workspace, {})
    out, err = again.communicate(timeout=WAIT_S)
    assert again.returncode == 0, err
    answer = json.loads(out)["artifacts"]["ingest"]
    assert workspace / answer["path"] == made.parent
    assert answer["reused"]
    assert answer["seconds"] < AGAIN_S
    table.add("Prefect's API killed at the end of a stage", "ingest", "status 1, one line, no loss")
    table.add("the same task twice", "ingest", f"the same artifact, {answer['seconds']:.1f} s")
