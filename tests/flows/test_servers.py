"""Servers on a tether: there when needed, gone with whoever started them."""

import errno
import http.server
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from flows import local_server as module
from flows import tether
from flows.checks.ports import Listener, listeners
from flows.local_server import (
    LOOK_S,
    LOOPBACK,
    PAUSES_S,
    LocalServer,
    answers,
    free_port,
)
from flows.servers import PrefectApi, given_api, only_own_pages, without_heartbeats
from model.errors import CorpusmithError
from tests.faults.table import Table
from tests.flows.chain import copy_prefect
from tests.flows.strangers import assert_for_this_machine_only

# Runs one flow; with "wait" it stops before it until a line arrives on standard input.
RUNNER = """
import sys
from pathlib import Path
from flows.servers import prepare_prefect

api = prepare_prefect(Path(sys.argv[1]))
from prefect import flow, get_run_logger, task

api.wait_until_ready()
if "wait" in sys.argv:
    print(api.server.url, flush=True)
    sys.stdin.readline()

@task
def double(number):
    return 2 * number

@flow(persist_result=True, result_serializer="json")
def chain():
    get_run_logger().info("for the page, not for the terminal")
    return sum(future.result() for future in [double.submit(each) for each in range(4)])

print(chain())
"""


def wait_until(condition: Callable[[], object], limit_s: float = 20) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Nothing of Prefect's or MLflow's from outside, and a home folder one can look into."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT", "MLFLOW"))
    }
    return {**kept, "HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a workspace; fresh for the first test, used for the others."""
    return tmp_path_factory.mktemp("workspace") / "state"


def is_gone(process: psutil.Process) -> bool:
    """Ended; perhaps nobody has taken note of it yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def listened_on(processes: Iterable[psutil.Process]) -> set[str]:
    """The addresses on which the processes take connections."""
    return {
        connection.laddr.ip
        for process in processes
        if not is_gone(process)
        for connection in process.net_connections("all")
        if connection.status == psutil.CONN_LISTEN
    }


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(state: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Starts runners, and kills those that are left."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str, **more: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(state), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, **more},
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


def waiting(process: "subprocess.Popen[str]") -> tuple[str, list[psutil.Process]]:
    """The address of a waiting runner's server, and all its processes."""
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    family = psutil.Process(process.pid).children(recursive=True)
    assert answers(f"{url}/api/health")
    assert len(family) >= 2, "a tether and a server"
    assert listened_on(family) == {LOOPBACK}
    return url, family


def num_completed_runs(state: Path) -> int:
    query = "select count(*) from flow_run where state_type = 'COMPLETED'"
    with sqlite3.connect(state / "prefect" / "prefect.db") as database:
        return int(database.execute(query).fetchone()[0])


@pytest.mark.slow
def test_a_flow_runs_where_nothing_is_running(
    start: Start, state: Path, environment: dict[str, str]
) -> None:
    for num_runs in (1, 2):
        process = start()
        assert process.communicate(timeout=200) == ("12\n", "")
        assert num_completed_runs(state) == num_runs
    assert list((state / "prefect" / "storage").iterdir())
    assert not (Path(environment["HOME"]) / ".prefect").exists()


@pytest.mark.slow
def test_the_server_of_a_run_is_for_this_machine_only(start: Start) -> None:
    process = start("wait")
    url, _ = waiting(process)
    assert_for_this_machine_only(url)
    assert Listener("Prefect", LOOPBACK, int(url.rsplit(":", 1)[1])) in set(listeners())


@pytest.mark.faults
@pytest.mark.parametrize("whole_group", [False, True], ids=["the process", "its group"])
def test_a_killed_run_leaves_no_server(start: Start, whole_group: bool, table: Table) -> None:
    process = start("wait")
    url, family = waiting(process)
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    wait_until(lambda: all(map(is_gone, family)))
    assert not answers(f"{url}/api/health")
    whom = "the process group" if whole_group else "the process"
    table.add(f"SIGKILL of {whom}", "a run with a server of its own", "no server is left")


@pytest.mark.slow
def test_two_runs_in_one_workspace_leave_each_other_alone(start: Start) -> None:
    first, second = start("wait"), start("wait")
    (first_url, first_family), (second_url, _) = waiting(first), waiting(second)
    assert first_url != second_url
    assert second.communicate("go\n", timeout=60) == ("12\n", "")
    assert all(each.is_running() for each in first_family)
    assert first.communicate("go\n", timeout=60) == ("12\n", "")
    wait_until(lambda: all(map(is_gone, first_family)))


@pytest.fixture
def health() -> Iterator[str]:
    """Something that answers as Prefect's health page does."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/api/health" else 503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{LOOPBACK}:{server.server_port}"
    server.shutdown()


CHECK_GIVEN = """
import sys
from pathlib import Path
from flows.servers import prepare_prefect

api = prepare_prefect(Path(sys.argv[1]))
assert api.server is None
try:
    api.wait_until_ready()
    print("ready", api.url)
except ValueError as error:
    print(error)
"""


def check_given(url: str, folder: Path, environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", CHECK_GIVEN, str(folder)],
        env={**environment, "PREFECT_API_URL": url},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_given_api_is_used_and_none_started(
    tmp_path: Path, environment: dict[str, str], health: str
) -> None:
    assert check_given(f"{health}/api", tmp_path, environment) == f"ready {health}/api\n"
    assert list(tmp_path.iterdir()) == []


def test_a_given_api_that_is_away_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    url = f"http://{LOOPBACK}:{free_port()}/api"
    said = check_given(url, tmp_path, environment)
    assert f"PREFECT_API_URL={url}" in said
    assert said.count("\n") == 1


def test_a_status_of_failure_is_no_answer(health: str) -> None:
    assert answers(f"{health}/api/health")
    assert not answers(f"{health}/elsewhere")
    assert not answers("http://[broken")


def test_what_ends_a_run_because_the_api_went_away_is_told_as_that() -> None:
    api = PrefectApi(f"http://{LOOPBACK}:{free_port()}/api", None)
    with pytest.raises(CorpusmithError, match=r"went away.* when it is back"), api.explaining():
        raise ConnectionError("refused")
    with pytest.raises(CorpusmithError, match=r"^too little text$"), api.explaining():
        raise CorpusmithError("too little text")


@pytest.mark.parametrize("error", [OSError(errno.EROFS, "read-only"), MemoryError("no more")])
def test_what_this_machine_lacks_is_not_laid_to_the_api(error: Exception) -> None:
    api = PrefectApi(f"http://{LOOPBACK}:{free_port()}/api", None)
    with pytest.raises(type(error)) as told, api.explaining():
        raise error
    assert told.value is error


def test_an_api_that_answers_when_asked_again_has_not_gone_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = iter([False, True])
    monkeypatch.setattr("flows.servers.answers", lambda _: next(said))
    with pytest.raises(KeyError), PrefectApi("http://h/api", None).explaining():
        raise KeyError("a bug")


def test_an_api_of_our_own_that_is_back_had_gone_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.servers.answers", lambda _: True)
    server = local_server(tmp_path, "raise SystemExit")
    api = PrefectApi("http://h/api", server)
    with pytest.raises(KeyError), api.explaining():
        raise KeyError("a bug")
    with server.kept(lambda _: None):
        wait_until(lambda: server.was_restarted)
    with pytest.raises(CorpusmithError, match=r"went away .*server\.log"), api.explaining():
        raise ConnectionError("refused")
    server.stop()


def test_an_address_without_a_user_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://[::1]:4200/api/@x")
    assert given_api() == "http://[::1]:4200/api/@x"


def test_the_own_page_may_be_opened_as_localhost() -> None:
    [allowed] = only_own_pages(f"http://{LOOPBACK}:4200").values()
    assert allowed.split(",") == ["http://127.0.0.1:4200", "http://localhost:4200"]


def test_a_port_in_use_is_not_taken() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


def local_server(
    folder: Path, program: str, port: int = 1, *, kind: type[LocalServer] = LocalServer
) -> LocalServer:
    return kind(
        "the test server",
        [sys.executable, "-c", program],
        url=f"http://{LOOPBACK}:{port}",
        health="/",
        environment={},
        log=folder / "server.log",
    )


def test_a_server_that_cannot_start_is_explained_by_its_log(tmp_path: Path) -> None:
    server = local_server(tmp_path, "raise SystemExit('no such database')")
    with pytest.raises(CorpusmithError, match=r"ended while starting: see .*server\.log"):
        server.wait_until_ready(20)
    assert "no such database" in server.log.read_text()
    server.stop()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    server = local_server(tmp_path, "import time; time.sleep(60)", free_port())
    with pytest.raises(CorpusmithError, match="did not answer within 0 s"):
        server.wait_until_ready(0.2)
    server.stop()
    assert not server.is_running


ENDS = "print('started', flush=True)"
STAYS = f"{ENDS}; import time; time.sleep(60)"


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is started again at once, each time."""
    monkeypatch.setattr(module, "PAUSES_S", (0.0,) * len(PAUSES_S))


@pytest.mark.usefixtures("without_pauses")
def test_a_server_that_is_kept_is_started_again_a_few_times(tmp_path: Path) -> None:
    lines: list[str] = []
    server = local_server(tmp_path, ENDS)
    assert not server.was_restarted
    with server.kept(lines.append):
        wait_until(lambda: len(lines) == len(PAUSES_S) + 1)
    assert server.log.read_text() == "started\n" * (1 + len(PAUSES_S))
    again = f"the test server ended and is started again (its log is {server.log})"
    at_last = f"the test server ended again and is not started any more: see {server.log}"
    assert lines == [again] * len(PAUSES_S) + [at_last]
    assert server.was_restarted
    server.stop()


@pytest.mark.usefixtures("without_pauses")
def test_a_server_that_was_there_for_long_is_not_held_to_what_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEADY_S", 0.0)
    lines: list[str] = []
    server = local_server(tmp_path, ENDS)
    with server.kept(lines.append):
        wait_until(lambda: len(lines) > len(PAUSES_S) + 1)
    assert not [line for line in lines if "any more" in line]
    assert not server.was_restarted
    server.stop()


@pytest.mark.usefixtures("without_pauses")
def test_a_server_for_which_there_is_no_room_is_tried_again(tmp_path: Path) -> None:
    lines: list[str] = []
    server = local_server(tmp_path, ENDS)
    wait_until(lambda: not server.is_running)
    log, server.log = server.log, tmp_path / "none" / "server.log"  # an OSError, as any other

    def make_room(line: str) -> None:
        lines.append(line)
        server.log = log

    with server.kept(make_room):
        wait_until(lambda: len(lines) == len(PAUSES_S) + 1)
    assert "could not be started again: [Errno 2]" in lines[0]
    assert log.read_text() == "started\n" * len(PAUSES_S)
    server.stop()


class SlowlySeen(LocalServer):
    """Its end is told only some time after it was seen, as on a machine that is busy."""

    was_seen = threading.Event()

    @property
    def is_running(self) -> bool:
        runs = super().is_running
        if not runs:
            self.was_seen.set()
            time.sleep(2 * LOOK_S)
        return runs


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_server_that_ends_as_it_is_kept_no_more_stays_away(
    tmp_path: Path, is_stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SlowlySeen, "was_seen", threading.Event())
    lines: list[str] = []
    server = local_server(tmp_path, STAYS, kind=SlowlySeen)
    assert isinstance(server, SlowlySeen)
    wait_until(server.log.read_text)
    with server.kept(lines.append):
        server._process.kill()
        assert server.was_seen.wait(20)
        if is_stopped:
            server.stop()
            time.sleep(4 * LOOK_S)
    assert server.log.read_text() == "started\n"
    assert lines == []
    server.stop()


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_server_that_will_not_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    server = local_server(tmp_path, STUBBORN)
    wait_until(lambda: server.log.read_text().endswith("\n"))
    child = psutil.Process(int(server.log.read_text()))
    family = [child, *child.parents()[:1]]
    server.stop()
    wait_until(lambda: all(map(is_gone, family)))


def test_a_server_outlives_a_forked_child_but_not_us(tmp_path: Path) -> None:
    """A data loader's worker inherits our end of the tether; it must not keep the server up."""
    program = (
        "import os, sys, time; from pathlib import Path; from tests.flows.test_servers import *\n"
        "server = local_server(Path(sys.argv[1]), 'import time; time.sleep(60)')\n"
        "if os.fork() == 0: time.sleep(30); os._exit(0)\n"
        "print(server._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        leash = psutil.Process(int(process.stdout.readline()))
        wait_until(lambda: is_gone(leash))
        os.killpg(process.pid, signal.SIGKILL)


def test_the_tether_passes_the_exit_status_on() -> None:
    command = [sys.executable, tether.__file__, sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as leash:
        assert leash.wait(20) == 7


TWO_WORKSPACES = """
import sys
from pathlib import Path
from flows.servers import prepare_prefect

first = prepare_prefect(Path(sys.argv[1]))
assert prepare_prefect(Path(sys.argv[1])).server is first.server
from prefect import flow

@flow
def chain(): pass

first.wait_until_ready()
chain()
second = prepare_prefect(Path(sys.argv[2]))
assert not first.server.is_running
second.wait_until_ready()
chain()
chain()
"""


@pytest.mark.slow
@pytest.mark.long
def test_one_process_may_turn_to_another_workspace(
    state: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    other = tmp_path / "state"
    copy_prefect(state / "prefect", other / "prefect")
    before = num_completed_runs(state)
    command = [sys.executable, "-c", TWO_WORKSPACES, str(state), str(other)]
    subprocess.run(command, env=environment, check=True, timeout=200)
    assert num_completed_runs(state) == before + 1
    assert num_completed_runs(other) == before + 2


def test_flows_on_our_own_server_send_no_signs_of_life() -> None:
    """At its end each of them would wait for the thread that sends them."""
    from prefect.settings import get_current_settings

    def frequency() -> int | None:
        return get_current_settings().flows.heartbeat_frequency

    usual = frequency()
    with without_heartbeats():
        assert frequency() is None
    assert frequency() == usual
    assert usual is not None
