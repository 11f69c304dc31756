"""Going back after a spike, with checkpoints as they are written."""

import math
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model.errors import TrainingError
from model.state import TrainingState, load_state, save_state
from model.training import TrainingInterrupted
from tests.model.training_runs import Run


class LookClock:
    """A clock that moves a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


class Kept:
    """A run whose checkpoints lie in a folder, and whose loss goes wrong where rows say so."""

    def __init__(
        self,
        folder: Path,
        *,
        bad_places: dict[int, float],
        stop_at: int | None = None,
        max_steps: int = 20,
        max_rollbacks: int = 2,
        checkpoint_seconds: float | None = None,
    ) -> None:
        self.folder = folder
        self.scheduled = (max_steps // 2, max_steps)
        self.bad_places = bad_places
        self.updates: list[int] = []
        self.stop_at = stop_at
        self.run = Run(
            settings={
                "max_steps": max_steps,
                "num_checkpoints": 2,
                "max_rollbacks": max_rollbacks,
                "checkpoint_seconds": checkpoint_seconds,
            },
            should_stop=self._should_stop,
            on_checkpoint=self._save,
            on_rollback=lambda run: self.newest(self.scheduled),
            clock=LookClock(),
        )
        self.run.model.head.register_forward_hook(self._spoil)
        self.training = self.run.training
        self.training.state = self.newest(None)

    def newest(self, steps: tuple[int, ...] | None) -> TrainingState:
        """Model and optimizers at the newest checkpoint (of `steps`), or at the beginning."""
        found = sorted(int(path.name) for path in self.folder.iterdir())
        found = [step for step in found if steps is None or step in steps]
        if not found:
            return self.run.begin_again()
        return load_state(self.folder / str(found[-1]), self.run.model, self.run.optimizers, {})

    def weights(self) -> dict[str, Tensor]:
        return self.run.model.state_dict()

    def _save(self, run: Run) -> None:
        folder = self.folder / str(run.training.state.step)
        folder.mkdir(exist_ok=True)
        save_state(folder, run.model, run.optimizers, run.training.state, {})

    def _should_stop(self, run: Run) -> bool:
        self.updates.append(run.training.state.step)
        return len(self.updates) == self.stop_at

    def _spoil(self, module: nn.Module, arguments: Any, hidden_MD: Tensor) -> Tensor | None:
        """Every time that an update begins at a bad place, as data does that is bad."""
        state = self.training.state
        factor = self.bad_places.get(8 * state.step + state.num_skipped_rows)
        return None if factor is None else hidden_MD * factor


@pytest.mark.parametrize("factor", [math.nan, -50.0], ids=["nan", "spike"])
def test_it_goes_back_to_the_checkpoint_and_past_the_rows_since(
    factor: float, tmp_path: Path
) -> None:
    kept = Kept(tmp_path, bad_places={8 * 70: factor}, max_steps=80)
    kept.training.run()
    state = kept.training.state
    assert kept.updates == [*range(1, 71), *range(41, 81)]
    assert (state.num_rollbacks, state.num_skipped_rows) == (1, 8 * 31)
    assert [point for point in state.curve if point[1] == "rollbacks"] == [(40, "rollbacks", 1.0)]
    assert (40, {"rollbacks": 1.0}) in kept.run.metrics


def test_without_a_checkpoint_it_begins_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path, bad_places={8 * 7: math.inf})
    kept.training.run()
    assert kept.updates == [*range(1, 8), *range(1, 21)]
    assert kept.training.state.num_skipped_rows == 8 * 8


def test_twice_from_one_checkpoint_skips_both(tmp_path: Path) -> None:
    kept = Kept(tmp_path, bad_places={8 * 15: math.nan, 8 * 19: math.nan})
    kept.training.run()
    state = kept.training.state
    assert (state.num_rollbacks, state.num_skipped_rows) == (2, 8 * 10)
    assert kept.updates == [*range(1, 16), *range(11, 14), *range(11, 21)]


def test_when_none_is_left_the_run_ends(tmp_path: Path) -> None:
    bad_places = {8 * 60: math.nan, 8 * 86: -50.0}
    kept = Kept(tmp_path, bad_places=bad_places, max_steps=80, max_rollbacks=1)
    with pytest.raises(TrainingError, match=r"the loss jumps to .* in step 66 .*\(now 1\)"):
        kept.training.run()
    assert kept.run.bad_batches == [(66, kept.training.rows.chosen(86))]
    assert kept.training.state.step == 65


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("update", "updates", "num_skipped"),
    [
        pytest.param(15, [*range(1, 16), *range(11, 21)], 6, id="told by the next loss"),
        pytest.param(20, [*range(1, 21), *range(11, 21)], 10, id="told before the checkpoint"),
    ],
)
def test_an_update_that_ruins_the_weights_is_gone_back_from(
    update: int, updates: list[int], num_skipped: int, value: float, tmp_path: Path
) -> None:
    kept = Kept(tmp_path, bad_places={})
    ruin(kept, update, value)
    kept.training.run()
    assert kept.updates == updates
    assert kept.training.state.num_skipped_rows == 8 * num_skipped
    assert kept.training.state.num_rollbacks == 1


def test_a_stop_leaves_no_ruined_weights(tmp_path: Path) -> None:
    kept = Kept(tmp_path, bad_places={}, stop_at=15)
    ruin(kept, 15, math.inf)
    with pytest.raises(TrainingInterrupted, match="stopped after step 10 of 20"):
        kept.training.run()
    assert [path.name for path in tmp_path.iterdir()] == ["10"]


def test_ruined_weights_come_into_no_checkpoint(tmp_path: Path) -> None:
    """Of a token that no validation document holds, nothing else would tell."""
    kept = Kept(tmp_path, bad_places={}, max_rollbacks=0)
    ruin(kept, 20, math.inf)
    with pytest.raises(TrainingError, match="there are weights that are not finite in step 20"):
        kept.training.run()
    assert [path.name for path in tmp_path.iterdir()] == ["10"]


def test_a_validation_that_gives_no_number_ends_the_run(tmp_path: Path) -> None:
    kept = Kept(tmp_path, bad_places={})
    broken = replace(kept.training.hooks, validate=lambda: {"validation_loss": math.nan})
    kept.training.hooks = broken
    with pytest.raises(TrainingError, match="validation_loss is nan after step"):
        kept.training.run()
    assert not list(tmp_path.iterdir())


def ruin(kept: Kept, update: int, value: float) -> None:
    """Have that update (from 1, repeated ones counted) leave a weight with `value`."""
    done = count(1)

    def change(*_: Any) -> None:
        if next(done) == update:
            kept.run.model.head.dense.weight.data[0, 0] = value

    kept.run.optimizers.adamw.register_step_post_hook(change)


def test_at_none_spikes_are_left_alone(tmp_path: Path) -> None:
    kept = Kept(tmp_path, bad_places={8 * 70: -50.0}, max_steps=80, max_rollbacks=0)
    kept.training.run()
    assert kept.updates == list(range(1, 81))


@pytest.mark.parametrize("stop_at", [8, 12, 15, 16, 17, 24])
@pytest.mark.parametrize("graceful", [True, False], ids=["stopped", "killed"])
def test_stopped_anywhere_it_ends_the_same(stop_at: int, graceful: bool, tmp_path: Path) -> None:
    unbroken = Kept(_new(tmp_path / "unbroken"), bad_places={8 * 15: math.nan})
    unbroken.training.run()
    broken = Kept(_new(tmp_path / "broken"), bad_places={8 * 15: math.nan}, stop_at=stop_at)
    _end_as_the_unbroken_one(broken, unbroken, graceful=graceful)


def test_killed_after_a_spike_it_ends_the_same(tmp_path: Path) -> None:
    unbroken = Kept(_new(tmp_path / "unbroken"), bad_places={8 * 70: -50.0}, max_steps=80)
    unbroken.training.run()
    broken = Kept(_new(tmp_path / "broken"), bad_places={8 * 70: -50.0}, max_steps=80, stop_at=75)
    _end_as_the_unbroken_one(broken, unbroken, graceful=False)


def _end_as_the_unbroken_one(broken: Kept, unbroken: Kept, *, graceful: bool) -> None:
    """Stops a run, or kills it: then the checkpoint that a stop would leave is missing."""
    with pytest.raises(TrainingInterrupted):
        broken.training.run()
    last = broken.training.state.step
    if not graceful and last not in broken.scheduled:
        shutil.rmtree(broken.folder / str(last))
    resumed = Kept(
        broken.folder, bad_places=broken.bad_places, max_steps=broken.training.settings.max_steps
    )
    resumed.training.run()
    assert resumed.training.state.num_rollbacks == 1
    assert all(torch.equal(v, unbroken.weights()[k]) for k, v in resumed.weights().items())
    for state in (resumed.training.state, unbroken.training.state):  # counted by this process
        state.curve = [point for point in state.curve if point[1] != "validation_loss"]
        state.validation = {}
    assert resumed.training.state == unbroken.training.state


def test_checkpoints_by_time_change_nothing(tmp_path: Path) -> None:
    bad_places = {8 * 15: math.nan}
    few, many = _new(tmp_path / "few"), _new(tmp_path / "many")
    Kept(few, bad_places=bad_places).training.run()
    Kept(many, bad_places=bad_places, checkpoint_seconds=3.0).training.run()
    assert len(list(many.iterdir())) > 5
    for step in ("10", "20"):
        for path in (few / step).iterdir():
            assert path.read_bytes() == (many / step / path.name).read_bytes(), path


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
