"""The compose file's servers, started as it says: closed to strangers, and back after a loss."""

import base64
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from flows.checks.asking import is_loopback
from flows.checks.ports import port_check
from flows.checks.servers import given_servers, server_checks
from tests.corpora import topic_documents, write_jsonl
from tests.deployments.by_hand import Stack, why_not
from tests.deployments.compose_file import (
    COMPOSE,
    MissingVariableError,
    read_services,
    variables,
)
from tests.flows.chain import Chain

TEXT = COMPOSE.read_text("utf-8")
EXAMPLE = COMPOSE.with_name(".env.example").read_text("utf-8")
SECRETS = {name for name in variables(TEXT) if name.endswith(("PASSWORD", "SECRET_KEY"))}
# With everything in it that an address, a shell or a format string could trip over. (Prefect
# answers with an error instead of a refusal where its password has letters beyond ASCII.)
GIVEN = {name: f"{index}canary@:/%s#' \"{name[-12:]}" for index, name in enumerate(SECRETS)}
READER = ("reader", "may-only-look-at-it")
RUNS = "/api/2.0/mlflow/experiments/search?max_results=10"

needs_servers = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


def environment(folder: Path) -> dict[str, str]:
    """What has to be set, and where backups go."""
    places = {"CORPUSMITH_TEXTS": folder / "texts", "CORPUSMITH_BACKUPS": folder / "backups"}
    for place in places.values():
        place.mkdir()
    return GIVEN | {name: str(place) for name, place in places.items()}


def test_nothing_starts_while_a_secret_is_missing() -> None:
    assert len(SECRETS) == 6
    needed = GIVEN | {"CORPUSMITH_TEXTS": "/texts"}
    assert read_services(needed)
    for name in needed:
        with pytest.raises(MissingVariableError, match=rf"{name}: .*deployments/\.env"):
            read_services(needed | {name: ""})


def test_the_example_names_every_variable_and_no_secret() -> None:
    lines = [line.lstrip("# ").split(" ")[0] for line in EXAMPLE.splitlines() if "=" in line]
    named = dict(line.split("=", 1) for line in lines)
    assert set(named) - {"COMPOSE_PROFILES"} == variables(TEXT) - {"CORPUSMITH_BACKUP"}
    assert not [name for name in SECRETS if named[name]]


def test_only_loopback_is_published_and_nothing_but_pages() -> None:
    services = read_services(GIVEN | {"CORPUSMITH_TEXTS": "/texts"})
    published = {name: each.published for name, each in services.items() if each.published}
    assert published == {
        "prefect": ["127.0.0.1:4200:4200"],
        "mlflow": ["127.0.0.1:5000:5000"],
    }


def test_every_service_that_stays_is_looked_at_and_tells_nobody() -> None:
    for name, service in read_services(GIVEN | {"CORPUSMITH_TEXTS": "/texts"}).items():
        assert bool(service.health) == (name not in {"deploy", "backup", "restore"})
        words = " ".join(service.command + service.health)
        assert not [secret for secret in GIVEN.values() if secret in words]
        if name not in {"postgres", "backup", "restore"}:
            assert service.environment["DO_NOT_TRACK"] == "1"
            assert service.environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
            assert service.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_files_that_are_mounted_or_built_from_are_there() -> None:
    described = yaml.safe_load(TEXT)["services"].values()
    folder = COMPOSE.parent
    mounts = [each.split(":")[0] for one in described for each in one.get("volumes", [])]
    assert all((folder / each).is_file() for each in mounts if each.startswith("./"))
    builds = [one["build"] for one in described if "build" in one]
    assert builds
    assert all((folder / each["context"] / each["dockerfile"]).is_file() for each in builds)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("servers")
    made = Stack(folder, environment(folder))
    try:
        made.start("prefect", "mlflow")
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def chain(stack: Stack) -> Chain:
    corpus = write_jsonl(stack.folder / "topics.jsonl", topic_documents(60))
    return Chain(corpus, stack.volume("workspace"), stack.client())


@pytest.fixture(scope="module")
def answer(chain: Chain) -> dict[str, Any]:
    """Of the smallest real run."""
    return chain.run("ingest")


def ask(
    stack: Stack,
    name: str,
    path: str,
    who: tuple[str, str] | None = None,
    body: dict[str, Any] | None = None,
    **headers: str,
) -> tuple[int, Any]:
    """Status and JSON of what a server answers."""
    if who:
        pair = base64.b64encode(":".join(who).encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    data = None if body is None else json.dumps(body).encode()
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(f"http://{stack.address(name)}{path}", data, headers)
    try:
        with urllib.request.urlopen(request) as found:
            return found.status, json.loads(found.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, None


def admin(name: str) -> tuple[str, str]:
    user = {"prefect": "corpusmith", "mlflow": "admin"}[name]
    return user, GIVEN[f"CORPUSMITH_{name.upper()}_PASSWORD"]


@pytest.fixture(scope="module")
def reader(stack: Stack) -> tuple[str, str]:
    """Somebody who has an account in MLflow."""
    made = {"username": READER[0], "password": READER[1]}
    status, _ = ask(stack, "mlflow", "/api/2.0/mlflow/users/create", admin("mlflow"), made)
    assert status == 200
    return READER


@needs_servers
@pytest.mark.servers
def test_strangers_learn_nothing(stack: Stack) -> None:
    closed = {
        "prefect": ["/api/admin/version", "/api/admin/settings", "/api/work_pools/health"],
        "mlflow": [RUNS, "/", "/ajax-api/2.0/mlflow/users/get?username=admin"],
    }
    for name, paths in closed.items():
        for path in paths:
            assert ask(stack, name, path)[0] == 401, path
            assert ask(stack, name, path, ("admin", "password1234"))[0] == 401, path
    assert ask(stack, "prefect", "/api/admin/version", admin("prefect"))[0] == 200
    assert ask(stack, "mlflow", RUNS, admin("mlflow"))[0] == 200


@needs_servers
@pytest.mark.servers
def test_another_name_for_the_host_is_refused(stack: Stack) -> None:
    for host in ("evil.example", "10.0.0.5:5000", "127.0.0.1.evil.example"):
        assert ask(stack, "mlflow", RUNS, admin("mlflow"), Host=host)[0] == 403, host
    for host in ("localhost:5000", "127.0.0.1:8000"):  # another port is published
        assert ask(stack, "mlflow", RUNS, admin("mlflow"), Host=host)[0] == 200, host


@needs_servers
@pytest.mark.servers
def test_all_listen_on_loopback_and_no_command_line_has_a_secret(stack: Stack) -> None:
    ours = psutil.Process().children(recursive=True)
    places = [
        connection.laddr
        for process in ours
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {stack.address(name) for name in ("postgres", "prefect", "mlflow")} <= {
        f"{place.ip}:{place.port}" for place in places
    }
    assert all(is_loopback(place.ip) for place in places)
    words = "\n".join(" ".join(process.cmdline()) for process in ours)
    assert "mlflow" in words
    assert not [secret for secret in GIVEN.values() if secret in words]


@needs_servers
@pytest.mark.servers
def test_the_doctor_is_let_in_and_says_what_others_lack(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in stack.client().items():
        monkeypatch.setenv(name, value)
    found = [(each["name"], each["state"]) for each in server_checks(given_servers())]
    assert found == [("Prefect", "ok"), ("MLflow", "ok")]
    ports = port_check()
    assert ports["state"] == "ok"
    for name in ("prefect", "mlflow"):
        assert stack.address(name) in ports["finding"]
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another")
    prefect, mlflow = server_checks(given_servers())
    assert prefect["finding"].endswith("asks who we are: set PREFECT_API_AUTH_STRING")
    assert "did not take who we are: set MLFLOW_TRACKING_USERNAME" in mlflow["finding"]


@needs_servers
@pytest.mark.servers
def test_a_run_is_let_in_and_its_pages_lead_where_people_are(
    stack: Stack, answer: dict[str, Any]
) -> None:
    run = mlflow_run(stack, answer, admin("mlflow"))
    assert run["info"]["status"] == "FINISHED"
    tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    page = f"http://{stack.address('prefect')}/runs/flow-run/"
    assert tags["prefect.flow_run_url"].startswith(page)
    assert flow_run_state(stack, answer) == "COMPLETED"


@needs_servers
@pytest.mark.servers
def test_who_has_an_account_sees_runs_and_changes_none(
    stack: Stack, answer: dict[str, Any], reader: tuple[str, str]
) -> None:
    assert mlflow_run(stack, answer, reader)["info"]["status"] == "FINISHED"
    tag = {"run_id": answer["mlflow"]["run_id"], "key": "mine", "value": "yes"}
    for who, status in ((reader, 403), (admin("mlflow"), 200)):
        assert ask(stack, "mlflow", "/api/2.0/mlflow/runs/set-tag", who, tag)[0] == status


@needs_servers
@pytest.mark.servers
def test_no_secret_is_written_anywhere(stack: Stack, answer: dict[str, Any]) -> None:
    files = [path for path in stack.folder.rglob("*") if path.is_file()]
    assert {"prefect.log", "mlflow.log", "MANIFEST.json"} <= {path.name for path in files}
    assert not [path for path in files if b"canary" in path.read_bytes()]
    for database in ("prefect", "mlflow", "mlflow_auth"):
        dump = subprocess.run(
            ["pg_dump", database], env=stack.environment("backup"), capture_output=True, check=True
        )
        assert b"COPY public." in dump.stdout
        assert b"canary" not in dump.stdout


@needs_servers
@pytest.mark.servers
def test_what_is_lost_comes_back_from_a_backup(
    stack: Stack, chain: Chain, answer: dict[str, Any], reader: tuple[str, str]
) -> None:
    backup = {"BACKUP": stack.run("backup").strip()}
    before = mlflow_run(stack, answer, reader), files_of(stack)
    with pytest.raises(AssertionError, match="is not empty: a restore needs new volumes"):
        stack.run("restore", backup)
    stack.empty_volumes()
    stack.run("restore", backup)
    stack.start("prefect", "mlflow")
    assert (mlflow_run(stack, answer, reader), files_of(stack)) == before
    assert flow_run_state(stack, answer) == "COMPLETED"
    assert chain.answer("verify")["artifacts"] == 1


def mlflow_run(stack: Stack, answer: dict[str, Any], who: tuple[str, str]) -> dict[str, Any]:
    """MLflow's run of the pipeline, as somebody sees it."""
    path = f"/api/2.0/mlflow/runs/get?run_id={answer['mlflow']['run_id']}"
    status, found = ask(stack, "mlflow", path, who)
    assert status == 200
    run: dict[str, Any] = found["run"]
    return run


def flow_run_state(stack: Stack, answer: dict[str, Any]) -> str:
    """Of the pipeline's run in Prefect."""
    path = f"/api/flow_runs/{answer['prefect']['flow_run_id']}"
    status, found = ask(stack, "prefect", path, admin("prefect"))
    assert status == 200
    return str(found["state"]["type"])


def files_of(stack: Stack) -> dict[str, bytes]:
    """What a backup has to keep of files, by path."""
    kept = ("workspace/artifacts", "workspace/runs", "mlflow/artifacts")
    return {
        str(path.relative_to(stack.folder)): path.read_bytes()
        for folder in kept
        for path in (stack.folder / folder).rglob("*")
        if path.is_file()
    }
