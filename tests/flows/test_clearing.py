"""A second SIGTERM does not interrupt what the first has begun, while a flow runs, too."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.utilities.engine import capture_sigterm, is_prefect_sigterm_handler_installed

from flows import clearing
from flows.clearing import Unrepeated, clearing_in_peace
from flows.cli import TERMINATED, exit_status
from tests.faults.table import Table

# A flow in a flow, as a stage in the chain. Each asks for the end again while it clears up.
NESTED = """
import os, signal, sys
from pathlib import Path
from flows.clearing import clearing_in_peace
from flows.cli import exit_status
from flows.servers import prepare_prefect

api = prepare_prefect(Path(sys.argv[1]))
from prefect import flow

def end_us():
    os.kill(os.getpid(), signal.SIGTERM)

@flow
def stage():
    with clearing_in_peace():
        try:
            end_us()
        finally:
            end_us()
            print("stage", flush=True)

@flow
def chain():
    with clearing_in_peace():
        try:
            stage()
        finally:
            end_us()
            print("chain", flush=True)

api.wait_until_ready()
raise SystemExit(exit_status(chain))
"""


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """Puts pytest's own back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_what_a_flow_clears_up_is_not_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    cleared = []

    def work() -> None:
        with capture_sigterm(), clearing_in_peace():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                cleared.append(True)

    assert exit_status(work) == TERMINATED
    assert cleared
    assert capsys.readouterr().err.count("\n") == 1


def test_the_handler_is_put_back() -> None:
    with capture_sigterm():
        with clearing_in_peace():
            assert not is_prefect_sigterm_handler_installed()
        assert is_prefect_sigterm_handler_installed()


def test_prefects_runner_finds_the_handler_that_it_looks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "any")
    with capture_sigterm(), clearing_in_peace():
        assert is_prefect_sigterm_handler_installed()


def test_much_later_a_signal_counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    handle = Unrepeated(lambda number, _: heard.append(number))
    handle(1, None)
    handle(2, None)
    monkeypatch.setattr(clearing, "CLEARING_S", 0.0)
    handle(3, None)
    assert heard == [1, 3]


@pytest.mark.faults
def test_flows_in_flows_clear_up_in_peace(tmp_path: Path, table: Table) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    command = [sys.executable, "-c", NESTED, str(tmp_path)]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=200)
    assert done.returncode == TERMINATED, done.stderr
    assert done.stdout == "stage\nchain\n"
    assert done.stderr == ("corpusmith: stopped by SIGTERM: run the same command again to go on\n")
    table.add("SIGTERM again and again", "flows in flows", "each clears up once; 143")
