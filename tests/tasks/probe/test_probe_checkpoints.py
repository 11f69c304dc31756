"""Checkpoints of a pretrain artifact: read in order, thinned, damage named, nothing changed."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from model.errors import ArtifactError
from model.huggingface import save_masked_lm
from model.initialization import predict_frequencies
from model.neighbour_heads import look_at_neighbours
from tasks.checkpoints import write_checkpoint
from tasks.probe.checkpoints import (
    evenly_chosen,
    find_checkpoints,
    saved_models,
    untrained_model,
)
from tests.tasks.probe.encoders import CONFIG
from tests.tasks.probe.masked_models import plain_model, save, write_run

CPU = torch.device("cpu")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def loaded_steps(folder: Path, most: int) -> tuple[list[int], list[str]]:
    damaged: list[str] = []
    found = saved_models(
        folder, most=most, device=CPU, on_damaged=lambda path: damaged.append(path.name)
    )
    return [saved.step for saved in found], damaged


def test_models_come_in_the_order_of_their_steps(tmp_path: Path) -> None:
    write_run(tmp_path, [20, 5, 10])
    before = contents(tmp_path)
    for saved in saved_models(tmp_path, most=9, device=CPU, on_damaged=pytest.fail):
        assert not saved.model.training
        for name, value in plain_model(saved.step).state_dict().items():
            assert torch.equal(saved.model.state_dict()[name], value)
    assert loaded_steps(tmp_path, 9) == ([5, 10, 20], [])
    assert loaded_steps(tmp_path, 2) == ([5, 20], [])
    assert loaded_steps(tmp_path, 1) == ([20], [])
    assert contents(tmp_path) == before


@pytest.mark.parametrize("damage", ["weights", "config", "missing", "checksums"])
def test_a_damaged_one_is_named_and_left_where_it_is(tmp_path: Path, damage: str) -> None:
    write_run(tmp_path, [5, 10, 20])
    folder = tmp_path / "checkpoints" / "step-00000010"
    if damage == "weights":
        weights = bytearray((folder / "model.safetensors").read_bytes())
        weights[-1] ^= 1
        (folder / "model.safetensors").write_bytes(weights)
    elif damage == "config":
        (folder / "config.json").write_text("{}")
    elif damage == "missing":
        (folder / "model.safetensors").unlink()
    else:
        (folder / "checksums.json").write_text("[1")
    before = contents(tmp_path)
    assert loaded_steps(tmp_path, 9) == ([5, 20], ["step-00000010"])
    assert contents(tmp_path) == before


def test_the_optimizer_is_not_looked_at(tmp_path: Path) -> None:
    write_run(tmp_path, [5])
    (tmp_path / "checkpoints" / "step-00000005" / "optimizer.safetensors").unlink()
    assert loaded_steps(tmp_path, 9) == ([5], [])


def test_unscheduled_and_foreign_folders_are_no_part_of_the_result(tmp_path: Path) -> None:
    write_run(tmp_path, [5])
    write_checkpoint(tmp_path / "checkpoints", 7, lambda own: save(own, 7), scheduled=False)
    for name in ("broken-step-00000003", "step-next", ".writing-step-00000009"):
        (tmp_path / "checkpoints" / name).mkdir()
    assert [found.step for found in find_checkpoints(tmp_path)] == [5]


def test_an_encoder_of_elsewhere_has_none(tmp_path: Path) -> None:
    assert find_checkpoints(tmp_path) == []
    assert loaded_steps(tmp_path, 3) == ([], [])


def test_one_of_another_format_is_refused(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        save(folder, 1)
        (folder / "config.json").write_text("{}")

    write_checkpoint(tmp_path / "checkpoints", 1, write)
    with pytest.raises(ArtifactError, match="lacks"):
        loaded_steps(tmp_path, 1)


@pytest.mark.parametrize("looks_at_neighbours", [False, True])
def test_step_0_is_what_a_run_of_this_seed_begins_with(
    tmp_path: Path, looks_at_neighbours: bool
) -> None:
    save_masked_lm(plain_model(), tmp_path)
    counts_V = np.arange(CONFIG.vocab_size) % 7
    fresh = untrained_model(
        tmp_path,
        seed=4,
        counts_V=counts_V,
        looks_at_neighbours=looks_at_neighbours,
        device=CPU,
    )
    wanted = plain_model(4, scale=1.0)
    predict_frequencies(wanted, torch.from_numpy(counts_V))
    if looks_at_neighbours:
        look_at_neighbours(wanted, CONFIG)
    assert (fresh.step, fresh.model.config) == (0, CONFIG)
    for name, value in wanted.state_dict().items():
        assert torch.equal(fresh.model.state_dict()[name], value)


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("most", range(1, 12))
def test_chosen_ones_are_evenly_spread(count: int, most: int) -> None:
    chosen = evenly_chosen(range(count), most)
    assert len(chosen) == len(set(chosen)) == min(count, most)
    assert chosen == sorted(chosen)
    assert chosen[-1] == count - 1
    gaps = [after - before for before, after in pairwise(chosen)]
    assert not gaps or (chosen[0] == 0 and max(gaps) - min(gaps) <= 1)
