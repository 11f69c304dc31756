"""Shards on Dask workers: real schedulers and workers, in processes of their own."""

import contextlib
import gc
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import distributed
import psutil
import pytest

from flows import dask_cluster
from flows.config import WorkersConfig, validate
from flows.dask_cluster import DaskWorkers, _misfit, dask_workers
from model.errors import CorpusError, CorpusmithError, RequestError
from tasks.corpus import Corpus
from tasks.export.config import ExportConfig
from tasks.export.stage import EXPORT
from tasks.ingest.config import IngestConfig
from tasks.ingest.stage import INGEST
from tasks.runtime.dask_worker import describe_worker
from tasks.stage import Stage, StageContext
from tasks.store.artifact import Artifact
from tasks.tokenize.config import TokenizeConfig
from tasks.tokenize.stage import TOKENIZE
from tasks.vocab.config import VocabConfig
from tasks.vocab.learning import count_corpus
from tests.contracts.code import ROOT
from tests.corpora import topic_documents, write_jsonl
from tests.flows.chain import plain
from tests.flows.dask_deeds import die, double, go_on_until_stopped, refuse, wait_the_first_time
from tests.tasks.chain import Listener, byte_vocab, sealed
from tests.tasks.export.exports import embedder_artifact

pytestmark = pytest.mark.slow

START_S = 60.0
LOOPBACK = ("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0")
LOCAL = WorkersConfig(dask="local:2")


def wait_for(is_so: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if found := is_so():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came")


class Cluster:
    """A scheduler and its workers as a user starts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        about = folder / "scheduler.json"
        self.start("scheduler", "--port", "0", "--scheduler-file", about)
        wait_for(lambda: read(about))
        self.address = json.loads(read(about))["address"]

    def start(self, *arguments: Any) -> None:
        with (self.folder / "log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", *map(str, arguments), *LOOPBACK],
                    env=plain() | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                )
            )

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def listening(pid: int) -> list[Any]:
    return [each for each in psutil.Process(pid).net_connections() if each.status == "LISTEN"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Without workers at first."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def given(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskWorkers]:
    """Two workers of a scheduler that was there."""
    for _ in range(2):
        cluster.start("worker", cluster.address, "--no-nanny", "--nthreads", "1")
    config = WorkersConfig(dask=cluster.address, deadline_s=1.0)
    place = str(tmp_path_factory.mktemp("given") / "workspace")
    with contextlib.ExitStack() as stack:

        def both() -> DaskWorkers | None:
            workers = stack.enter_context(dask_workers(config, place))
            return workers if workers and workers.num_shards == 4 else None

        yield wait_for(lambda: retried(both))


def retried(attempt: Callable[[], Any]) -> Any:
    """What it gives, or nothing while the workers are not there yet."""
    try:
        return attempt()
    except RequestError:
        return None


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskWorkers]:
    with dask_workers(LOCAL, str(tmp_path_factory.mktemp("local") / "workspace")) as workers:
        assert workers is not None
        yield workers


def test_a_scheduler_without_workers_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    config = WorkersConfig(dask=cluster.address)
    with (
        pytest.raises(RequestError, match=f"has no workers: .*`dask worker {cluster.address}`"),
        dask_workers(config, str(tmp_path)),
    ):
        pass


def test_a_place_where_no_scheduler_answers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "ANSWER_S", 0.5)
    monkeypatch.setattr(dask_cluster, "POLL_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config = WorkersConfig(dask=f"tcp://127.0.0.1:{mute.getsockname()[1]}")
        with (
            pytest.raises(RequestError, match=r"no Dask scheduler answers .*`dask scheduler`"),
            dask_workers(config, str(tmp_path)),
        ):
            pass


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_a_web_server_in_its_place_is_refused_in_one_line(
    protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Dask takes its first bytes for the length of what follows, and has no memory for that."""
    monkeypatch.setattr(dask_cluster, "ANSWER_S", 2.0)
    with web_server() as port:
        config = WorkersConfig(dask=f"{protocol}://127.0.0.1:{port}")
        with (
            pytest.raises(RequestError, match="no Dask scheduler answers there"),
            dask_workers(config, str(tmp_path)),
        ):
            pass
    gc.collect()
    assert capfd.readouterr().err == ""


@contextlib.contextmanager
def web_server() -> Iterator[int]:
    """The port of something that speaks at once, and another language."""

    class Page(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_without_dask_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(RequestError, match=r'pip install "corpusmith\[dask\]"'),
        dask_workers(LOCAL, str(tmp_path)),
    ):
        pass
    with dask_workers(WorkersConfig(), str(tmp_path)) as workers:
        assert workers is None


@pytest.mark.parametrize(
    "dask", ["localhost:8786", "local:0", "local:", "tcp://host", "http://h:1"]
)
def test_what_names_no_scheduler_is_refused(dask: str) -> None:
    with pytest.raises(RequestError, match=r"workers\.dask: a scheduler is tcp://HOST:PORT"):
        validate({"workers": {"dask": dask}}, where="here")


def test_workers_must_see_the_workspace_and_have_the_same_versions(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.touch()
    ours = describe_worker(str(probe))
    assert _misfit(ours, ours, tmp_path) is None
    unseen = _misfit(ours, ours | {"workspace": None}, tmp_path)
    assert unseen == f"does not see {tmp_path}: mount the workspace there, at the same path"
    assert "has pyarrow 1.0, this run has" in str(
        _misfit(ours, ours | {"pyarrow": "1.0"}, tmp_path)
    )
    missing = ModuleNotFoundError("No module named 'tasks'")
    assert "cannot run this version (ModuleNotFoundError: No" in str(
        _misfit(ours, missing, tmp_path)
    )


def test_errors_come_back_as_they_are(given: DaskWorkers) -> None:
    assert [given.call(double, number) for number in range(3)] == [0, 2, 4]
    with pytest.raises(CorpusError, match=r"^x\.txt cannot serve: choose another$"):
        given.call(refuse, "x.txt")


Made = dict[str, Artifact]


def make(folder: Path, corpus: Path, remote: DaskWorkers | None) -> dict[str, str]:
    """The content ids of what the stages make of the files."""
    made: Made = {}

    def run(stage: Stage, config: Any, name: str) -> None:
        output = folder / name
        output.mkdir(parents=True)
        context = StageContext(
            config, made, output, Listener(), map_shards=in_threads, remote=remote
        )
        stage.run(context)
        made[name] = sealed(output, name)

    run(INGEST, IngestConfig(paths=[str(corpus)], documents_per_shard=10), "ingest")
    made["vocab"] = byte_vocab(folder / "vocab")
    run(TOKENIZE, TokenizeConfig(row_tokens=64), "tokenize")
    made["tune"] = embedder_artifact(folder / "tune", made["vocab"])
    run(EXPORT, ExportConfig(device="cpu", level="both"), "export")
    return {name: artifact.ref.content_id for name, artifact in made.items()}


def counted(folder: Path, corpus: Path, remote: DaskWorkers | None) -> list[tuple[bytes, int]]:
    """The pretokens that `vocab` learns from."""
    folder.mkdir()
    context = StageContext(
        VocabConfig(), {}, folder, Listener(), map_shards=in_threads, remote=remote
    )
    return list(count_corpus(context, Corpus(corpus)).words)


def in_threads(function: Callable[[Any], Any], shards: Sequence[Any], *, name: str) -> list[Any]:
    """As the flows have it."""
    with ThreadPoolExecutor(4) as threads:
        return list(threads.map(function, shards))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for number in range(3):
        documents = topic_documents(40, seed=number)
        named = [document | {"id": f"{number}-{document['id']}"} for document in documents]
        write_jsonl(folder / f"{number}.jsonl", named)
    return folder


def test_every_stage_makes_the_same_bytes(given: DaskWorkers, corpus: Path, tmp_path: Path) -> None:
    assert make(tmp_path / "there", corpus, given) == make(tmp_path / "here", corpus, None)
    documents = tmp_path / "here" / "ingest"
    there = counted(tmp_path / "counted-there", documents, given)
    assert there == counted(tmp_path / "counted-here", documents, None)
    assert len(there) > 50


def test_a_shard_of_a_killed_worker_is_done_again(local: DaskWorkers, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(local.call, wait_the_first_time, tmp_path / "note")
        first = int(wait_for(lambda: read(tmp_path / "note")))
        os.kill(first, signal.SIGKILL)
        assert call.result(START_S) not in (0, first)


def test_what_nobody_waits_for_ends(cluster: Cluster, given: DaskWorkers, tmp_path: Path) -> None:
    config = WorkersConfig(dask=cluster.address)
    note = tmp_path / "note"
    with dask_workers(config, str(tmp_path)) as workers, ThreadPoolExecutor(1) as thread:
        assert workers is not None
        call = thread.submit(workers.call, go_on_until_stopped, note, told="on_done")
        wait_for(note.with_suffix(".begun").exists)
        workers.abandon()
        with pytest.raises(CorpusmithError, match="stopped"):
            call.result(START_S)
        with pytest.raises(CorpusmithError, match="stopped"):
            workers.call(double, 1)
    assert wait_for(lambda: read(note)) == "NobodyWaitsError"


def test_our_own_processes_are_on_loopback_and_behind_keys(local: DaskWorkers) -> None:
    children = psutil.Process().children(recursive=True)
    ours = [os.getpid(), *(each.pid for each in children if "spawn_main" in str(each.cmdline()))]
    found = [each.laddr for pid in ours for each in listening(pid)]
    assert len(found) >= 4
    assert {place.ip for place in found} == {"127.0.0.1"}
    address = local._client.scheduler.address
    assert address.startswith("tls://")
    for place in found:
        for page in ("status", "info/main/workers.html", "json/counts.json"):
            with pytest.raises((OSError, HTTPException)):  # no such page, or no answer in HTTP
                urllib.request.urlopen(f"http://127.0.0.1:{place.port}/{page}", timeout=5)
    with pytest.raises(RequestError, match="no Dask scheduler answers"):
        dask_cluster._connect(distributed, address.replace("tls", "tcp"), None)


def test_where_no_worker_is_left_the_run_ends(given: DaskWorkers) -> None:
    with pytest.raises(CorpusmithError, match="no worker is left, for 1 s now"):
        given.call(die, 1)


def test_a_scheduler_that_is_gone_is_told(cluster: Cluster, given: DaskWorkers) -> None:
    with ThreadPoolExecutor(1) as thread:
        call = thread.submit(given.call, double, 1)
        cluster.processes[0].kill()
        with pytest.raises(CorpusmithError, match="the scheduler is gone: when it is back"):
            call.result(START_S)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
