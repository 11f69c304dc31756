"""What the README says works: its commands parse, its reading examples run on a real workspace."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from flows.config import PipelineConfig, keys_of, presets
from flows.parser import parse
from tests.contracts.code import ROOT
from tests.flows.chain import plain

README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands(program: str) -> list[list[str]]:
    lines = [line.split("#")[0] for block in blocks("console") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith(f"{program} ")]


def test_every_command_shown_is_understood() -> None:
    shown = commands("corpusmith")
    assert len(shown) >= 5
    for arguments in shown:
        parse(arguments)


def test_every_make_target_shown_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for [target] in commands("make"):
        assert f"\n{target}:" in makefile


def test_every_setting_named_exists() -> None:
    known = {
        f"{section}.{key}" for section in PipelineConfig.model_fields for key in keys_of(section)
    }
    for row in re.findall(r"^\| (`\w+\.\w+`.*?) \|", README, re.MULTILINE):
        section = ""
        for name in re.findall(r"`([\w.]+)`", row):
            section = name.split(".")[0] or section
            assert f"{section}.{name.split('.')[1]}" in known


def test_every_preset_is_described() -> None:
    assert all(f"| `{name}` |" in README for name in presets())


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answer of the run that the README shows: no option, so the built-in corpus."""
    done = subprocess.run(
        [sys.executable, "-m", "flows", "run", "--json"],
        cwd=tmp_path_factory.mktemp("smoke"),
        env=plain() | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_default_run_learns(smoke: dict[str, Any]) -> None:
    """Masked tokens better than by frequency; documents better than random weights, by more than
    both intervals."""
    metrics = smoke["metrics"]
    assert metrics["pretrain/validation_loss"] < metrics["pretrain/unigram_loss"] - 0.2
    folder = Path(smoke["workspace"]) / smoke["artifacts"]["evaluate"]["path"]
    recall = {
        row["system"]: row
        for row in pq.read_table(folder / "scores.parquet").to_pylist()
        if row["measure"] == "recall_at_1"
    }
    assert recall["corpusmith"]["low"] > recall["untrained"]["high"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_reading_examples_run(smoke: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(smoke["workspace"]).parent)
    [query] = blocks("sql")
    rows = duckdb.sql(query).fetchall()
    assert rows[0] == ("gzip.py#open", pytest.approx(1, abs=1e-5))
    assert len(rows) == 5
    [example] = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=True
    )
    found = re.findall(r"'([^']+)'", done.stdout)  # a module's id has no "#name"
    assert len(set(found)) == 5
    assert any(doc_id.startswith(("bz2.py", "gzip.py", "lzma.py")) for doc_id in found)
