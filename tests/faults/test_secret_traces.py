"""All that a whole run leaves and says, searched for a secret of its environment."""

import gzip
import json
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.feather import write_feather

from flows.cli import REFUSED
from flows.ui import start_ui
from tests.corpora import topic_documents, write_jsonl
from tests.faults.secrets import CANARY, NOWHERE, QUOTED, Watch, environment, holds, traces
from tests.faults.stages import write_corpus
from tests.faults.table import Table
from tests.flows.chain import LABEL, QUICK, Chain, plain
from tests.flows.shell import Shell

HIDING = {
    "parquet": lambda path, text: pq.write_table(table_of(text), path, compression="zstd"),
    "arrow": lambda path, text: write_feather(table_of(text), path, compression="zstd"),
    "gz": lambda path, text: path.write_bytes(gzip.compress(text.encode() * 2)),
    "zst": lambda path, text: path.write_bytes(
        pa.compress(text.encode() * 2, "zstd", asbytes=True)
    ),
    "zip": lambda path, text: write_zip(path, text * 2),
    "db": lambda path, text: write_database(path, text),
}


def table_of(text: str) -> pa.Table:
    return pa.table({"a": [["no"], [f"{text} {text}"]]})


def write_zip(path: Path, text: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", text)


def write_database(path: Path, text: str) -> None:
    """The text lies across two of the database's pages."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("pragma page_size = 512")
        database.execute("create table t (a)")
        for offset in range(0, 512, 3):
            database.execute("insert into t values (?)", ["x" * (512 + offset) + text])


@pytest.mark.parametrize("ending", HIDING)
def test_a_secret_is_found_where_plain_search_is_blind(ending: str, tmp_path: Path) -> None:
    """So that finding none means that there is none."""
    HIDING[ending](tmp_path / f"x.{ending}", "nothing to see here")
    assert not traces(tmp_path)
    HIDING[ending](tmp_path / f"y.{ending}", CANARY)
    assert traces(tmp_path) == [f"y.{ending}"]


COMMANDS = (
    ("status",),
    ("doctor",),
    ("plan", "{corpus}"),
    ("lineage", "{made}"),
    ("release", "list"),
    ("search", "iron"),
    ("verify",),
    ("gc",),
)

# What a run leaves behind, where the search must have looked.
LEFT = (
    "artifacts/*/*/MANIFEST.json",
    "artifacts/evaluate/*/report.html",
    "artifacts/export/*/part-*.parquet",
    "artifacts/probe/*/report.html",
    "published/current.json",
    "runs/*.json",
    "runs/**/model_card.md",
    "state/mlartifacts/**/MLmodel",
    "state/mlflow.db",
    "state/prefect/prefect.db",
    "state/prefect/server.log",
    "state/prefect/storage/*",
)


def answers_of(chain: Chain, made: Path) -> Iterator[str]:
    """What the commands say of the workspace, and what is said of a run that fails."""
    for command in COMMANDS:
        words = [word.format(made=made, corpus=chain.corpus) for word in command]
        for more in ([], ["--json"]):
            done = chain.try_(*words, *more)
            assert done.returncode == 0, done.stderr
            yield done.stdout + done.stderr
    done = chain.try_("ingest", f"s3://nowhere/x?key={CANARY}", "--debug")
    assert done.returncode == REFUSED
    yield done.stdout + done.stderr
    too_few = ("--ingest.min-words", "100000", "--debug")
    done = chain.try_("export", str(chain.corpus), *too_few)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    yield done.stdout + done.stderr


@contextmanager
def shared_tracker(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """An MLflow server that was told all secrets; its address with a password, which it ignores."""
    for name, value in (environment() | {"PREFECT_API_URL": f"http://{NOWHERE}/api"}).items():
        patch.setenv(name, value)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    _, [server] = start_ui(folder, mlflow_port=0)
    try:
        server.wait_until_ready(180)
        yield server.url.replace("://", f"://me:{QUOTED}@")
    finally:
        server.stop()


def run_again(chain: Chain, options: Sequence[str], tracking_uri: str) -> str:
    """What a run says that finds everything done, and tells it to another tracker."""
    told = environment() | {"MLFLOW_TRACKING_URI": tracking_uri}
    again = Chain(chain.corpus, chain.workspace, told)
    done = again.try_("run", str(chain.corpus), *options, "--json")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.timeout(900)
@pytest.mark.faults
def test_a_secret_of_the_environment_is_nowhere_after_a_run(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole chain, with a release, a registered model, pages, and a run that fails."""
    corpus = write_jsonl(tmp_path / "topics.jsonl", topic_documents(100))
    home, shared = tmp_path / "home", tmp_path / "shared"
    home.mkdir()
    folders = {"HOME": str(home), "TMPDIR": str(home)}
    options = (*QUICK, *LABEL, "--privacy.examples", "true")
    with Watch() as watch:
        with Shell(plain() | environment() | folders) as shell:
            chain = Chain(corpus, tmp_path / "workspace", shell=shell)
            done = chain.try_("run", str(corpus), *options, "--json")
            assert done.returncode == 0, done.stderr
            made = chain.workspace / json.loads(done.stdout)["artifacts"]["export"]["path"]
            said = [done.stdout, done.stderr, *answers_of(chain, made)]
        with shared_tracker(shared, monkeypatch) as tracking_uri:
            said.append(run_again(chain, options, tracking_uri))
    assert any("prefect_server.py" in line for line in watch.seen), "Prefect's server was seen"
    assert not [line for line in watch.seen if holds(line)]
    assert not [line for line in said if holds(line)]
    assert not [pattern for pattern in LEFT if not any(chain.workspace.glob(pattern))]
    assert any(shared.glob("mlartifacts/**/MLmodel")), "the model was registered there, too"
    assert not traces(tmp_path)
    table.add(
        "secret",
        "the environment of a whole run, the address of its tracker",
        "in no file, page, process or message",
    )


SERVERS = {
    "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://me:{QUOTED}@{NOWHERE}/prefect",
    "PREFECT_API_URL": f"http://{NOWHERE}/api",
}


@pytest.mark.faults
@pytest.mark.parametrize("variable", SERVERS)
def test_an_orchestrator_that_cannot_be_reached_gives_no_password_away(
    variable: str, tmp_path: Path, table: Table
) -> None:
    write_corpus(tmp_path / "corpus", 20)
    command = [sys.executable, "-m", "flows", "ingest", str(tmp_path / "corpus"), "--debug"]
    with Watch() as watch:
        done = subprocess.run(
            [*command, "--workspace", str(tmp_path / "workspace")],
            env=plain() | environment() | {variable: SERVERS[variable]},
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1, done.stderr
    assert not holds(done.stdout + done.stderr)
    assert not [line for line in watch.seen if holds(line)]
    assert not traces(tmp_path)
    table.add("secret", f"{variable} that leads nowhere", "said and stored without it")
