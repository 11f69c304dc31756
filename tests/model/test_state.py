import json
from pathlib import Path

import pytest
import torch

from model.errors import ArtifactError
from model.state import load_state, save_state
from model.training import TrainingInterrupted
from tests.model.training_runs import Run

FINGERPRINT = {"pretrain.seed": 0, "tokens": "abc", "dims": [1, 2]}


def stopped(step: int) -> Run:
    run = Run(should_stop=lambda run: run.training.state.step == step)
    with pytest.raises(TrainingInterrupted):
        run.training.run()
    return run


def save(run: Run, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    save_state(folder, run.model, run.optimizers, run.training.state, FINGERPRINT)


@pytest.mark.parametrize("step", [1, 7, 10, 15])
def test_a_restored_run_ends_as_the_unbroken_one(step: int, tmp_path: Path) -> None:
    unbroken = Run()
    unbroken.training.run()
    save(stopped(step), tmp_path)
    resumed = Run()
    resumed.training.state = load_state(tmp_path, resumed.model, resumed.optimizers, FINGERPRINT)
    resumed.training.run()
    for name, value in unbroken.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    first, second = unbroken.training.state, resumed.training.state
    assert [point for point in second.curve if point[1] != "validation_loss"] == [
        point for point in first.curve if point[1] != "validation_loss"
    ]
    assert (first.num_tokens, first.num_checkpoints) == (second.num_tokens, second.num_checkpoints)


def test_the_same_state_makes_the_same_files(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        save(stopped(3), folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["config.json", "model.safetensors", "optimizer.safetensors", "state.json"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"pretrain.seed": 1}, "pretrain.seed = 0, but this run has 1"),
        ({"tokens": "xyz"}, "tokens = 'abc', but this run has 'xyz'"),
        ({"more": 1}, "more = None, but this run has 1"),
    ],
)
def test_another_run_is_refused(change: dict[str, object], complaint: str, tmp_path: Path) -> None:
    save(stopped(1), tmp_path)
    run = Run()
    with pytest.raises(ArtifactError, match=complaint):
        load_state(tmp_path, run.model, run.optimizers, {**FINGERPRINT, **change})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', "not json"])
def test_a_file_that_is_no_state_is_refused(text: str, tmp_path: Path) -> None:
    save(stopped(1), tmp_path)
    (tmp_path / "state.json").write_text(text)
    run = Run()
    with pytest.raises(ArtifactError, match=r"state\.json"):
        load_state(tmp_path, run.model, run.optimizers, FINGERPRINT)


def test_another_format_is_named(tmp_path: Path) -> None:
    save(stopped(1), tmp_path)
    path = tmp_path / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 3}))
    run = Run()
    with pytest.raises(ArtifactError, match="has format 3, this version reads 1 and 2"):
        load_state(tmp_path, run.model, run.optimizers, FINGERPRINT)


def test_a_checkpoint_of_the_first_format_is_read(tmp_path: Path) -> None:
    unbroken = Run()
    unbroken.training.run()
    save(stopped(7), tmp_path)
    path = tmp_path / "state.json"
    record = json.loads(path.read_text())
    for name in ("num_skipped_rows", "num_rollbacks", "loss_window", "samples"):
        del record["state"][name]
    path.write_text(json.dumps({**record, "format": 1}))
    run = Run()
    run.training.state = load_state(tmp_path, run.model, run.optimizers, FINGERPRINT)
    assert run.training.state.loss_window == run.training.state.samples == []
    run.training.run()
    assert run.training.state.curve == unbroken.training.state.curve


def test_what_is_new_in_a_state_survives(tmp_path: Path) -> None:
    run = stopped(15)
    run.training.state.num_skipped_rows, run.training.state.num_rollbacks = 64, 2
    save(run, tmp_path)
    loaded = load_state(tmp_path, run.model, run.optimizers, FINGERPRINT)
    assert loaded == run.training.state
    assert len(loaded.loss_window) == 15
    assert loaded.samples == [{"step": 10, "seen": "a [MASK] c", "guesses": ["b"]}]


def test_damaged_moments_are_refused(tmp_path: Path) -> None:
    save(stopped(1), tmp_path)
    (tmp_path / "optimizer.safetensors").write_bytes(b"half")
    run = Run()
    with pytest.raises(ArtifactError, match="does not hold this model's moments"):
        load_state(tmp_path, run.model, run.optimizers, FINGERPRINT)
