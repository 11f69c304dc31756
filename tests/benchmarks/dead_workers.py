"""Kills a worker and its run in the middle of training, and times what becomes of the run.

    python -m tests.benchmarks.dead_workers            # SIGKILL for both
    python -m tests.benchmarks.dead_workers --pause    # SIGSTOP, and SIGCONT after the takeover

A real Prefect server, two workers of one pool in which one run may be at a time, and heartbeats at
their real pace: about four minutes. Exit status 1 unless the run is done by its second try, once.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks.store.store import Store
from tasks.store.workspace import Workspace
from tests.contracts.code import ROOT
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import LABEL, QUICK, Chain, as_config, plain
from tests.flows.prefect_api import Api, process_of, start_server

START_S = 300.0
LIMIT_S = 600.0
NAME = "pipeline/small"
CHECKPOINTS = "staging/pretrain/*/*/checkpoints/step-*"
TRAINING = {"max_steps": 1_000_000, "max_minutes": 1.0, "checkpoint_minutes": 0.05}


def main() -> None:
    """Bring all up, kill, watch, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pause", action="store_true", help="stop them and let them go on later")
    parser.add_argument("--api", help="of a server that is up and has no other workers")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dead-workers-") as name:
        folder = Path(name)
        with contextlib.ExitStack() as stack:
            api = Api(arguments.api or stack.enter_context(server(folder / "server")))
            sys.exit(0 if watch(api, folder, stack, pause=arguments.pause) else 1)


def watch(api: Api, folder: Path, stack: contextlib.ExitStack, *, pause: bool) -> bool:
    """Whether all went as it should."""
    corpus = write_jsonl(folder / "topics.jsonl", topic_documents(60))
    chain = Chain(corpus, folder / "workspace", {"PREFECT_API_URL": api.url})
    chain.answer("deploy")
    api.ask("/work_pools/cpu", {"concurrency_limit": 1}, "PATCH")
    workers = [stack.enter_context(worker(folder, api.url, number)) for number in (1, 2)]
    first = start(api, chain)
    until(lambda: checkpoints(chain) and max(checkpoints(chain)) > 0)
    time.sleep(5)
    pids = where(workers, first)
    saved = max(checkpoints(chain))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP if pause else signal.SIGKILL)
    second = follow(api, first, time.monotonic())
    if pause:
        until(lambda: len(list(chain.workspace.glob("staging/pretrain/*/000002*"))) > 0)
        tell("the second try has taken over: the first may go on")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    until(lambda: of(api, second)["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED"))
    return judge(api, chain, first, second, saved)


def start(api: Api, chain: Chain) -> str:
    """Start the pipeline up to training; returns the run's id."""
    config = as_config(chain.corpus, [*QUICK, *LABEL])
    config["pretrain"] |= TRAINING
    parameters = {"config": config, "workspace": str(chain.workspace), "until": "pretrain"}
    deployment = api.deployments()[NAME]["id"]
    asked = {"parameters": parameters}
    return str(api.ask(f"/deployments/{deployment}/create_flow_run", asked)["id"])


def follow(api: Api, first: str, killed_s: float) -> str:
    """Tell the seconds from the kill until the run is found, freed and begun again."""

    def when(told: str, is_so: Callable[[], Any]) -> None:
        until(is_so)
        tell(f"{told}: {time.monotonic() - killed_s:.1f} s after the kill")

    when("found (Crashed)", lambda: of(api, first)["state"]["type"] == "CRASHED")
    when("another run is there", lambda: newest(api) != first)
    second = newest(api)
    begun = ("PENDING", "RUNNING", "COMPLETED")
    when("freed (a worker has taken it)", lambda: of(api, second)["state"]["type"] in begun)
    when("running again", lambda: of(api, second)["state"]["type"] in begun[1:])
    return second


def judge(api: Api, chain: Chain, first: str, second: str, saved: int) -> bool:
    """Tell how it ended, and whether that is well."""
    [manifest] = chain.workspace.glob("artifacts/pretrain/*/MANIFEST.json")
    metrics = json.loads(manifest.read_text("utf-8"))["information"]["metrics"]
    resumed, total = int(metrics["resumed_from_step"]), int(metrics["num_steps"])
    tell(f"the last checkpoint at the kill: step {saved}; resumed from {resumed}, of {total}")
    time.sleep(10)  # for what the first try may have to say
    states = [of(api, run)["state"] for run in (first, second)]
    for number, state in enumerate(states, 1):
        tell(f"try {number}: {state['name']}: {(state['message'] or '').splitlines()[:1]}")
    place = str(chain.workspace)
    runs = [run for run in api.sent(NAME) if run["parameters"]["workspace"] == place]
    problems = Store(Workspace.open_existing(str(chain.workspace))).verify_all()
    tell(f"{len(runs)} runs, problems: {problems}")
    is_done = states[1]["type"] == "COMPLETED" and states[0]["type"] in ("CRASHED", "FAILED")
    return is_done and len(runs) == 2 and not problems and resumed >= saved


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """A server of our own; its API's address."""
    started = start_server(folder)
    try:
        started.wait_until_ready(START_S)
        yield f"{started.url}/api"
    finally:
        started.stop()


@contextlib.contextmanager
def worker(folder: Path, api: str, number: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker of the pool cpu."""
    command = f"-m prefect worker start --pool cpu --limit 1 --name worker-{number}"
    environment = {"PREFECT_API_URL": api, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (folder / f"worker-{number}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command.split()],
            cwd=folder,
            env=plain() | environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def where(workers: list["subprocess.Popen[bytes]"], run_id: str) -> tuple[int, int]:
    """The worker that has the run, and the run's own process."""
    for each in workers:
        with contextlib.suppress(AssertionError):
            return each.pid, process_of(each.pid, run_id).pid
    raise AssertionError(f"no worker has the run {run_id}")


def of(api: Api, run_id: str) -> dict[str, Any]:
    """The run as the server has it now."""
    [run] = (each for each in api.sent(NAME) if each["id"] == run_id)
    return dict(run)


def newest(api: Api) -> str:
    """The id of the run that was made last."""
    return str(api.sent(NAME)[0]["id"])


def checkpoints(chain: Chain) -> list[int]:
    """The steps that are saved."""
    return [int(path.name.removeprefix("step-")) for path in chain.workspace.glob(CHECKPOINTS)]


def until(is_so: Callable[[], Any]) -> None:
    """Wait for it."""
    deadline_s = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline_s, "it took too long"
        time.sleep(0.2)


def tell(text: str) -> None:
    """One line of the answer."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
