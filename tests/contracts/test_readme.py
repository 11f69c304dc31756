"""What the README says works: its commands parse, its reading examples run on a real workspace."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from flows.config import PipelineConfig, keys_of, presets
from flows.parser import parse
from tests.contracts.code import ROOT
from tests.flows.chain import plain

README = (ROOT / "README.md").read_text("utf-8")
FEW_STEPS = "--pretrain.max-steps 12 --tune.max-steps 6 --probe.num-examples 100".split()


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


@pytest.mark.slow
def test_the_reading_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the corpus the README speaks of, trained for a few steps only."""
    subprocess.run(
        [sys.executable, "-m", "flows", "run", *FEW_STEPS],
        cwd=tmp_path,
        env=plain() | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    monkeypatch.chdir(tmp_path)
    [query] = blocks("sql")
    rows = duckdb.sql(query).fetchall()
    assert rows[0] == ("gzip.py#open", pytest.approx(1, abs=1e-5))
    assert len(rows) == 5
    [example] = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("#") == 5
