"""A secret, told wherever a user can tell one, is nowhere else: in no file, page or message."""

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.cli import REFUSED, main
from flows.config import load_config
from flows.local_server import LOOPBACK
from model.errors import RequestError
from tasks.execute import execute
from tasks.ingest.stage import INGEST
from tasks.stage import map_in_order
from tasks.store.workspace import Workspace
from tasks.tracking import open_tracker
from tests.faults.secrets import CANARY, NOWHERE, QUOTED, environment, holds, traces
from tests.faults.stages import config_of, store_of, write_corpus
from tests.faults.table import Table
from tests.tasks.chain import Listener

TELLING = {
    "a webhook's address": '[notify]\nblock = "https://hooks.example/services/{secret}"',
    "an unknown key": '[tracking]\npassword = "{secret}"',
    "an address for a section": 'tracking = "https://me:{secret}@mlflow.example"',
    "a scheduler's password": '[workers]\ndask = "tcp://me:{secret}@scheduler:8786"',
}


def refusal(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line with which a request is refused."""
    assert main(arguments) == REFUSED
    said = capfd.readouterr()
    [line] = said.err.splitlines()
    return said.out + line


@pytest.mark.parametrize("kind", TELLING)
def test_a_config_file_that_is_refused_is_not_quoted(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(TELLING[kind].format(secret=QUOTED), "utf-8")
    with pytest.raises(RequestError) as refused:
        load_config(str(file), {})
    assert str(file) in str(refused.value)
    assert not holds(str(refused.value))


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--tracking.password", CANARY),
        ("run", f"--tracking.password={CANARY}"),
        ("run", "--workers.dask", f"tcp://me:{QUOTED}@{NOWHERE}"),
        ("ingest", f"https://me:{CANARY}@{NOWHERE}/x.txt"),
        ("ingest", f"https://{NOWHERE}/x.txt?X-Amz-Signature={CANARY}"),
        ("ingest", f"https://{NOWHERE}/x.txt?jwt={CANARY}"),
        ("ingest", f"s3://key:{CANARY}@bucket/x"),
        ("ingest", f"s3://bucket/x?X-Amz-Signature={CANARY}"),
        ("ingest", f"az://container/x?sv=1&sig={CANARY}"),
        ("ingest", f"zip://x.txt::https://me:{QUOTED}@{NOWHERE}/x.zip"),
        ("ingest", f"filecache::https://me:{QUOTED}@{NOWHERE}/x.txt"),
        ("status", "--workspace", f"https://me:{QUOTED}@{NOWHERE}/ws"),
        ("status", "--workspace", f"s3://key:{CANARY}@bucket/ws"),
        ("probe", "--probe.encoder", f"https://me:{QUOTED}@{NOWHERE}/model"),
        ("deploy", f"s3://key:{CANARY}@bucket/x", "--workspace", "/shared"),
        ("deploy", "--workspace", f"s3://key:{CANARY}@bucket/ws"),
    ],
    ids=" ".join,
)
def test_a_command_that_is_refused_does_not_repeat_it(
    arguments: tuple[str, ...],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not holds(refusal(capfd, *arguments))
    assert not any(map(holds, map(str, tmp_path.rglob("*"))))


LEADING = {"HTTPS_PROXY": "https://nowhere.example/x.txt", "AWS_ENDPOINT_URL": "s3://bucket/x.txt"}


@pytest.mark.faults
@pytest.mark.parametrize("variable", LEADING)
def test_a_way_to_documents_that_leads_nowhere_gives_no_password_away(
    variable: str,
    tmp_path: Path,
    table: Table,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = environment() | {variable: f"http://me:{QUOTED}@{NOWHERE}"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    workspace = Workspace.open(tmp_path / "workspace").location
    for more in ([], ["--debug"]):
        assert main(["ingest", LEADING[variable], "--workspace", workspace, *more]) == REFUSED
    said = capfd.readouterr()
    assert "cannot be reached" in said.err
    assert not holds(said.out + said.err)
    assert not traces(tmp_path)
    table.add("secret", f"{variable} that leads nowhere", "said and stored without it")


@pytest.mark.parametrize("host", ["h", "h:4200"])
@pytest.mark.parametrize("command", ["ingest", "deploy", "ui"])
def test_a_password_in_the_address_of_prefect_is_refused(
    host: str,
    command: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prefect hands the address on to its workers, and shows it."""
    monkeypatch.setenv("PREFECT_API_URL", f"http://me:{QUOTED}@{host}/api")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = Workspace.open(tmp_path / "workspace").location
    arguments = [command, __file__] if command == "ingest" else [command]
    said = refusal(capfd, *arguments, "--workspace", workspace)
    assert "PREFECT_API_AUTH_STRING" in said
    assert not holds(said)


@contextmanager
def signing_in() -> Iterator[str]:
    """A server that takes nobody's password; its host and port."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.end_headers()
            self.wfile.write(b"not allowed")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"{LOOPBACK}:{server.server_port}"
    server.shutdown()


TRACKERS = {
    "a server that is away": f"http://me:{QUOTED}@{NOWHERE}",
    "a server that refuses the password": f"http://me:{QUOTED}@{{refusing}}",
    "a database that is away": f"postgresql+psycopg://me:{QUOTED}@{NOWHERE}/mlflow",
    "a database, its password a parameter": f"postgresql+psycopg://{NOWHERE}/m?password={QUOTED}",
    "a database that says nothing": f"postgresql+psycopg://me:{QUOTED}@{{refusing}}/mlflow",
    "a database that has no driver": f"mysql+nothing://me:{CANARY}@{NOWHERE}/mlflow",
    "a store that nobody knows": f"ftp://me:{QUOTED}@{NOWHERE}/mlflow",
}


@pytest.mark.faults
@pytest.mark.parametrize("kind", TRACKERS)
def test_a_tracker_that_cannot_be_reached_gives_no_password_away(
    kind: str,
    tmp_path: Path,
    table: Table,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    write_corpus(tmp_path / "corpus", 20)
    config, said = config_of(tmp_path / "corpus").ingest, Listener()
    store = store_of(tmp_path / "workspace")
    began_s = time.monotonic()
    with signing_in() as refusing:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", TRACKERS[kind].format(refusing=refusing))
        tracker = open_tracker(
            tmp_path / "workspace" / "state",
            experiment="corpusmith",
            run_id="run-1",
            run_name="run-1",
            tags={"from": TRACKERS[kind]},
            params={"key": CANARY, "address": f"s3://{QUOTED}@bucket/x"},
            warn=said.messages.append,
        )
        with tracker.stage("ingest", config.model_dump(mode="json")) as track:
            outcome = execute(INGEST, config, {}, store=store, report=said, map_shards=map_in_order)
            track.metrics(outcome.metrics)
        about = tracker.about
        tracker.close()
    assert time.monotonic() - began_s < 60, "nobody waits for one that is away"
    assert said.messages, "the user is told that records wait"
    output = capfd.readouterr()
    assert not holds("\n".join([*said.messages, *said.warnings, output.out, output.err]))
    assert not holds(json.dumps(about))
    assert not traces(tmp_path / "workspace")
    table.add("secret", kind, "said and stored without it")
