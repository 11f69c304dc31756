from pathlib import Path
from typing import Any

import pytest
import torch

from model.ranks import ALONE
from model.state import load_state
from tests.model.rank_jobs import ADAMW, JOBS, results_of
from tests.model.training_runs import Run

Results = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.long)])
def group(request: pytest.FixtureRequest, folder: Path) -> list[Results]:
    """What each of 2 or 4 real processes made of every job."""
    return results_of(request.param, folder)


@pytest.fixture(scope="module")
def one(folder: Path) -> Results:
    """What one process alone makes of the jobs that are compared."""
    names = ("with_adamw", "with_muon", "validated")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    results = {name: JOBS[name](ALONE, folder) for name in names}
    torch.set_num_threads(before)
    return results


def same_on_all(group: list[Results], job: str, key: str) -> Any:
    values = [results[job][key] for results in group]
    assert all(value == values[0] for value in values), values
    return values[0]


@pytest.mark.parametrize(("job", "tolerance"), [("with_adamw", 1e-5), ("with_muon", 1e-3)])
def test_losses_are_those_of_one_rank(
    job: str, tolerance: float, group: list[Results], one: Results
) -> None:
    losses = same_on_all(group, job, "losses")
    assert len(losses) == 100
    assert losses == pytest.approx(one[job]["losses"], rel=tolerance)
    assert losses[-1] < 0.8 * losses[0]
    assert same_on_all(group, job, "num_tokens") == one[job]["num_tokens"]


@pytest.mark.parametrize("job", ["with_adamw", "with_muon"])
def test_all_ranks_end_with_the_same_weights(job: str, group: list[Results]) -> None:
    same_on_all(group, job, "weights")


def test_only_the_first_rank_reports_and_writes_checkpoints(group: list[Results]) -> None:
    results = [rank["with_muon"] for rank in group]
    assert [result["num_reports"] > 0 for result in results] == [True] + [False] * (len(group) - 1)
    assert [result["checkpoints"] for result in results[:2]] == [[25, 50, 75, 100], []]


def test_what_is_not_finite_on_one_rank_stops_all(group: list[Results]) -> None:
    error = same_on_all(group, "nan_on_the_last", "error")
    assert "the loss is nan in step 8 (written to failed-batch.json)" in error
    assert same_on_all(group, "nan_on_the_last", "step") == 7
    assert [rank["nan_on_the_last"]["told"] for rank in group] == [1] + [0] * (len(group) - 1)


def test_weights_that_one_rank_alone_has_ruined_stop_all(group: list[Results]) -> None:
    error = same_on_all(group, "ruined_on_the_last", "error")
    assert "there are weights that are not finite in step 5 (written to failed-batch.json)" in error
    assert same_on_all(group, "ruined_on_the_last", "checkpoints") == []


def test_it_leads_all_of_them_back(group: list[Results]) -> None:
    assert same_on_all(group, "nan_and_back", "rollbacks") == 1
    assert same_on_all(group, "nan_and_back", "skipped") == 8 * 8
    same_on_all(group, "nan_and_back", "weights")


def test_one_rank_that_wants_to_stop_stops_all_at_the_same_step(group: list[Results]) -> None:
    assert "after step 7 of 20" in same_on_all(group, "stop_on_the_last", "error")
    assert group[0]["stop_on_the_last"]["checkpoints"] == [5, 7]


def test_the_first_ones_clock_counts(group: list[Results]) -> None:
    assert same_on_all(group, "by_the_first_ones_clock", "elapsed_s") >= 60
    assert same_on_all(group, "by_the_first_ones_clock", "step") < 100


def test_validation_sums_over_the_ranks(group: list[Results], one: Results) -> None:
    for rank in group:
        assert rank["validated"] == pytest.approx(one["validated"], rel=1e-9)


def test_a_resumed_run_ends_as_the_unbroken_one(group: list[Results]) -> None:
    unbroken = same_on_all(group, "with_adamw", "weights")
    assert same_on_all(group, "resumed", "weights") == unbroken


def test_one_rank_goes_on_from_a_checkpoint_of_many(
    group: list[Results], one: Results, folder: Path
) -> None:
    alone = Run(**ADAMW)
    checkpoint = folder / f"checkpoint-{len(group)}"
    alone.training.state = load_state(checkpoint, alone.model, alone.optimizers, {})
    alone.training.run()
    assert alone.training.state.loss_window == pytest.approx(
        one["with_adamw"]["losses"][-64:], rel=1e-5
    )


def test_the_first_one_speaks_for_all(group: list[Results]) -> None:
    assert same_on_all(group, "said", "said") == "ünicode of rank 0"
    assert same_on_all(group, "said", "none") == ""


def test_no_thread_of_the_group_outlives_it(group: list[Results]) -> None:
    assert [rank["threads"] for rank in group] == [[]] * len(group)


def test_alone_nothing_is_exchanged() -> None:
    assert torch.equal(ALONE.sum(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 2.0]))
    assert ALONE.first_says("text") == "text"
    assert ALONE.is_first
    ALONE.wait()
