"""A run goes on when nobody reads what it prints any more."""

import subprocess
import sys
from pathlib import Path

from tests.contracts.code import ROOT
from tests.flows.chain import plain

RUN = """
import logging, os, stat, sys, time
from prefect.logging.configuration import setup_logging
from flows.log_pipe import PatientConsole, outlive_reader

setup_logging()
log = logging.getLogger("prefect.test")
log.setLevel("INFO")
console = PatientConsole(stderr=True)
outlive_reader()
outlive_reader()
log.warning("ready")
sys.stdin.readline()  # until the reader is gone
for _ in range(2):
    log.warning("the end of a long training")
    console.print("the end of a long training")
    while any(stat.S_ISFIFO(os.fstat(each).st_mode) for each in (1, 2)):
        time.sleep(0.01)
    print("the end of a long training", flush=True)
    print("the end of a long training", flush=True, file=sys.stderr)
open(sys.argv[1], "w").write("done")
"""


def test_a_run_outlives_the_reader_of_its_output(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path / "end")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=plain(),  # other tests make the log quieter
        text=True,
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    said = iter(process.stderr.readline, "")
    assert any("ready" in line for line in said)
    process.stdout.close()
    process.stderr.close()
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(60) == 0
    assert (tmp_path / "end").read_text() == "done"
