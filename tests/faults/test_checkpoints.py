"""The newest checkpoint is broken, or made to do harm: the one before is gone on from."""

import hashlib
import json
import pickle
import random
import shutil
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults.changes import done_apart
from tests.faults.damage import ALL, put
from tests.faults.outcomes import as_command, committed, line_in
from tests.faults.stages import config_of, run_stage, without
from tests.faults.table import Table
from tests.faults.test_damage import left_behind
from tests.tasks.chain import Listener

NUM_DAMAGES = 20


@pytest.fixture(scope="module")
def left(whole: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which pretraining died with several checkpoints."""
    return left_behind("pretrain", whole, corpus, tmp_path_factory.mktemp("left").resolve())


def checkpoints(workspace: Path) -> list[Path]:
    """The newest last."""
    return sorted(workspace.glob("staging/pretrain/*/*/checkpoints/step-*"))


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_however_the_newest_is_broken_the_one_before_is_taken(
    left: Path, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    expected, chance = committed(whole, "pretrain"), random.Random(0)
    *_, before, newest = checkpoints(left)
    names = sorted(path.name for path in newest.iterdir())
    chosen = chance.sample([(name, damage) for name in names for damage in ALL], NUM_DAMAGES)
    for number, (name, damage) in enumerate(chosen):
        folder = shutil.copytree(left, tmp_path / str(number))
        damage(checkpoints(folder)[-1] / name, chance)
        heard = tmp_path / "heard"
        assert done_apart(partial(run_and_tell, corpus, folder, heard)) == 0, (name, damage)
        told = json.loads(heard.read_text())
        assert any(newest.name in each for each in told["warnings"]), (name, damage)
        assert f"after step {int(before.name.removeprefix('step-'))}" in told["messages"][0]
        assert committed(folder, "pretrain") == expected, (name, damage)
        shutil.rmtree(folder)
    happened = "said; gone on from the one before; the same content"
    table.add(f"{NUM_DAMAGES} damages to the newest checkpoint", "pretrain", happened)


def run_and_tell(corpus: Path, workspace: Path, heard: Path) -> None:
    """Pretraining, and what it said."""
    report = Listener()
    run_stage("pretrain", corpus, workspace, report=report)
    heard.write_text(json.dumps({"messages": report.messages, "warnings": report.warnings}))


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return (Path.touch, (self.path,))


def forged(checkpoint: Path, name: str, content: bytes) -> None:
    """Put a file there under checksums that fit."""
    put(checkpoint / name, content)
    place = checkpoint / "checksums.json"
    recorded = json.loads(place.read_text("utf-8"))
    recorded[name] = hashlib.sha256(content).hexdigest()
    put(place, json.dumps(recorded).encode())


@pytest.mark.faults
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_checkpoint_that_was_forged_is_refused_and_runs_nothing(
    name: str, left: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    canary = tmp_path / "canary"
    contents = {
        "a pickle": pickle.dumps(Canary(canary)),
        "a header of 2^60 bytes": struct.pack("<Q", 2**60) + b"{" * 64,
        "nothing": b"",
        "deep nesting": b"[" * 200_000,
    }
    for kind, content in contents.items():
        folder = shutil.copytree(left, tmp_path / "work")
        forged(checkpoints(folder)[-1], name, content)
        said = tmp_path / "said"
        status = done_apart(as_command(partial(run_stage, "pretrain", corpus, folder), said))
        assert status == 1, kind
        assert name in line_in(said), (kind, line_in(said))
        assert "report it" not in line_in(said), (kind, line_in(said))
        assert not canary.exists(), kind
        assert committed(folder, "pretrain") == [], kind
        shutil.rmtree(folder)
    table.add(f"{len(contents)} forged contents of {name}", "pretrain", "refused, nothing run")


@pytest.mark.faults
@pytest.mark.parametrize("rows_per_step", [2, 8])
def test_with_another_batch_nothing_is_gone_on_with(
    rows_per_step: int, left: Path, whole: Path, corpus: Path, tmp_path: Path, table: Table
) -> None:
    """It is another request: what the first one left stays for it."""
    folder = without(left, tmp_path / "work", set())
    values = config_of(corpus).model_dump()
    values["pretrain"]["rows_per_step"] = rows_per_step
    config = type(config_of(corpus)).model_validate(values)
    before = {path: path.stat().st_ino for path in folder.glob("staging/pretrain/*/*/**/*")}
    work = partial(run_stage, "pretrain", corpus, folder, config=config)
    assert done_apart(work) == 0
    assert {path: path.stat().st_ino for path in before} == before
    [other] = committed(folder, "pretrain")
    assert [other] != committed(whole, "pretrain")
    assert done_apart(partial(run_stage, "pretrain", corpus, folder)) == 0
    assert set(committed(folder, "pretrain")) == {other, *committed(whole, "pretrain")}
    batch = f"resumed with {rows_per_step} rows in a batch"
    table.add(batch, "pretrain", "another request; the first goes on after")
