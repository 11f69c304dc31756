"""Workspaces of earlier versions serve this one: nothing is trained or embedded again unasked."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from flows.commands import command_of
from flows.config import PipelineConfig, validate
from flows.graph import STAGE_NAMES
from flows.parser import parse
from flows.plan import plan_run
from tests.contracts.stored_workspace import CORPUS, NUM_DOCUMENTS, SETTINGS_FILE, WORKSPACE

STORED = sorted((Path(__file__).parent / "workspaces").glob("*.tar.xz"))


@pytest.fixture(scope="module", params=STORED, ids=lambda path: path.name)
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    with tarfile.open(request.param) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def config(stored: Path) -> PipelineConfig:
    values = json.loads((stored / SETTINGS_FILE).read_text())
    values["ingest"]["paths"] = [str(stored / CORPUS)]
    return validate(values, where="stored")


def ask(stored: Path, *command: str) -> Any:
    options = parse([*command, "--workspace", str(stored / WORKSPACE)])
    return command_of(options.command).answer(options)


def test_there_is_one() -> None:
    assert STORED


def test_no_stage_runs_again(stored: Path, config: PipelineConfig) -> None:
    planned = plan_run(config, str(stored / WORKSPACE), why=True)["stages"]
    assert {each["stage"]: each["action"] for each in planned} == dict.fromkeys(
        STAGE_NAMES, "reuse"
    ), [each["why"] for each in planned]


def test_all_of_it_is_whole(stored: Path) -> None:
    found = ask(stored, "verify")
    assert found == {"artifacts": len(STAGE_NAMES), "problems": [], "erased": []}


def test_its_release_answers(stored: Path) -> None:
    [release] = ask(stored, "release", "list")["releases"]
    assert release["present"]
    assert ask(stored, "status")["embeddings"]["num_documents"] == NUM_DOCUMENTS
    hits = ask(stored, "search", "the engine of the rail", "-k", "3")["hits"]
    assert len({hit["doc_id"] for hit in hits}) == 3
    document = hits[0]["doc_id"]
    assert ask(stored, "search", "--like", document, "-k", "1")["hits"][0]["doc_id"] != document
    chain = ask(stored, "lineage", str(stored / WORKSPACE / release["export"]["path"]))["chain"]
    assert {link["stage"] for link in chain} >= {"ingest", "vocab", "pretrain", "tune", "export"}
