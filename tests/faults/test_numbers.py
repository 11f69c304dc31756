"""Numbers that are none, in weights and in vectors: a line that says so, and nothing half."""

import hashlib
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save
from torch.optim.optimizer import register_optimizer_step_post_hook

from flows.graph import StageName
from tasks.store.artifact import Artifact
from tasks.store.manifest import MANIFEST_NAME, render_manifest
from tests.faults.changes import done_apart
from tests.faults.damage import put
from tests.faults.outcomes import Work, as_command, committed, line_in
from tests.faults.stages import downstream_of, run_stage, store_of, without
from tests.faults.table import Table

WEIGHTS = "model.safetensors"
INFINITY, NO_NUMBER = float("inf"), float("nan")


def spoiled(work: Work, update: int, value: float) -> Work:
    """The work, in a process of its own in which an update (from 1) leaves a weight with `value`,
    as an overflow or a bad memory chip does."""
    done = 0

    def spoil(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        nonlocal done
        done += 1
        if done == update:
            with torch.no_grad():
                optimizer.param_groups[0]["params"][0].view(-1)[0] = value

    def run() -> None:
        register_optimizer_step_post_hook(spoil)
        work()

    return run


@pytest.mark.faults
@pytest.mark.parametrize(
    ("stage", "update", "value"),
    [
        pytest.param("pretrain", 1, INFINITY, id="pretrain, before there is a checkpoint"),
        pytest.param("pretrain", 4, NO_NUMBER, id="pretrain, before a validation"),
        pytest.param("pretrain", 4, INFINITY, id="pretrain, a token that validation has not"),
        pytest.param("pretrain", 8, INFINITY, id="pretrain, the last"),
        pytest.param("tune", 1, NO_NUMBER, id="tune, the first of the bag"),
        pytest.param("tune", 2, INFINITY, id="tune, the last of the bag"),
        pytest.param("tune", 4, INFINITY, id="tune, an encoder's"),
    ],
)
def test_weights_that_are_no_numbers_come_into_no_checkpoint(
    stage: StageName,
    update: int,
    value: float,
    whole: Path,
    corpus: Path,
    tmp_path: Path,
    table: Table,
) -> None:
    """What is resumed from would else be broken for ever, however often it is tried."""
    expected = committed(whole, stage)
    folder = without(whole, tmp_path / "work", downstream_of(stage))
    work, said = partial(run_stage, stage, corpus, folder), tmp_path / "said"
    assert done_apart(as_command(spoiled(work, update, value), said)) == 1
    assert re.search("weights that are not finite|the loss is (nan|inf)", line_in(said))
    assert committed(folder, stage) == []
    assert done_apart(work) == 0
    assert committed(folder, stage) == expected
    table.add(f"a weight of {value} after update {update}", stage, "named; whole when run again")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("made", "reader"), [("tune", "export"), ("tune", "evaluate"), ("pretrain", "probe")]
)
def test_weights_that_are_no_numbers_are_refused_by_who_reads_them(
    made: StageName,
    reader: StageName,
    whole: Path,
    corpus: Path,
    tmp_path: Path,
    table: Table,
) -> None:
    """As a version that did not look may have left them."""
    folder = without(whole, tmp_path / "work", {reader})
    [artifact] = store_of(folder).artifacts(made)
    weights = load_file(artifact.path / WEIGHTS)
    for value in weights.values():
        value.view(-1)[0] = NO_NUMBER
    replace_file(artifact, WEIGHTS, save(weights, {"format": "pt"}))
    said = tmp_path / "said"
    status = done_apart(as_command(partial(run_stage, reader, corpus, folder), said))
    assert status == 1
    assert "not finite" in line_in(said)
    assert committed(folder, reader) == []
    table.add("weights that are not finite", reader, "refused by name")


def replace_file(artifact: Artifact, name: str, content: bytes) -> None:
    """Have the artifact be one that was committed with this content."""
    put(artifact.path / name, content)
    changed = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    files = tuple(
        each.model_copy(update=changed) if each.name == name else each
        for each in artifact.manifest.files
    )
    manifest = artifact.manifest.model_copy(update={"files": files})
    put(artifact.path / MANIFEST_NAME, render_manifest(manifest))
