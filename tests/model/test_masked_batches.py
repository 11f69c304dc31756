import hashlib
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import RequestError
from model.masked_batches import MaskedBatch, batches_ahead
from model.masking import WordJoins
from model.order import rows_at_places
from model.prediction_loss import IGNORED
from tests.model.training_runs import CONFIG, ROW_TOKENS, MadeUpRows, training_rows

# Of batches at default settings; a change means that every run learns from something else.
PINNED_DIGESTS = {
    (7, ()): "564bc4ba271646235cc4d0a5f0dfc1d7266892863153f3a4ef77b5ddc82a8f8d",
    (3, (("micro_rows", 3),)): "b105977e2271c2e92b1bd1c5f9a302f07bee3c204030d3ced3c3d59e580dc26e",
    (1, (("fixed_shapes", True), ("micro_rows", 3))): (
        "34c2b7333ef55159e3473da8c25d919f62ec887e07c75031016b748c43f35cac"
    ),
    (123_456, (("mask_frac", 0.15), ("seed", 5))): (
        "f1b416d520d04c0b0c40e7a12a38dae7b152d630264644ba14d4acc43b593b0a"
    ),
}

PAIRS = WordJoins(  # even ids begin a word of one or two tokens
    starts_inside_V=np.arange(64) % 2 == 1, ends_inside_V=np.arange(64) % 2 == 0
)


def digest(batches: list[MaskedBatch]) -> str:
    sha256 = hashlib.sha256()
    for batch in batches:
        for tensor in (batch.batch.token_ids_BL, batch.positions_M, batch.targets_M):
            sha256.update(str((tensor.dtype, tuple(tensor.shape))).encode())
            sha256.update(tensor.numpy().tobytes())
        sha256.update(f"{batch.num_targets},{batch.num_tokens}".encode())
    return sha256.hexdigest()


@pytest.mark.parametrize("case", PINNED_DIGESTS)
def test_batches_are_what_they_always_were(case: tuple[int, tuple[tuple[str, Any], ...]]) -> None:
    step, changes = case
    assert digest(training_rows(**dict(changes)).batches(step)) == PINNED_DIGESTS[case]


def text(batch: MaskedBatch) -> list[list[int]]:
    """The rows with the masks taken off."""
    token_ids_N = batch.batch.token_ids_BL.flatten().clone()
    token_ids_N[batch.positions_M] = batch.targets_M
    return token_ids_N.view(-1, ROW_TOKENS).tolist()


def test_an_update_learns_from_the_rows_of_its_step() -> None:
    [batch] = training_rows().batches(7)
    expected_rows = rows_at_places(range(56, 64), 40, seed=0)
    assert training_rows().chosen(7) == expected_rows
    for row, (_, number) in zip(text(batch), expected_rows, strict=True):
        first, second = (piece.tolist() for piece in MadeUpRows().row(number))
        expected = [2, *first, 3, 2, *second, 3]
        assert row == expected + [0] * (ROW_TOKENS - len(expected))


@pytest.mark.parametrize("micro_rows", [1, 3, 8])
def test_micro_batches_hold_the_same_rows_and_masks(micro_rows: int) -> None:
    [whole] = training_rows().batches(3)
    parts = training_rows(micro_rows=micro_rows).batches(3)
    token_ids_BL = torch.cat([part.batch.token_ids_BL for part in parts])
    assert torch.equal(token_ids_BL, whole.batch.token_ids_BL)
    assert torch.equal(torch.cat([part.targets_M for part in parts]), whole.targets_M)
    assert sum(part.num_tokens for part in parts) == whole.num_tokens
    assert sum(part.num_targets for part in parts) == whole.num_targets


def test_an_epoch_masks_the_same_row_differently_each_time() -> None:
    rows = training_rows(rows_per_step=40, micro_rows=40)
    first, second = ({tuple(r): i for i, r in enumerate(text(rows.batches(e)[0]))} for e in (0, 1))
    assert first.keys() == second.keys()
    seen = [rows.batches(epoch)[0].batch.token_ids_BL for epoch in (0, 1)]
    differing = [
        not torch.equal(seen[0][place], seen[1][second[row]]) for row, place in first.items()
    ]
    assert np.mean(differing) > 0.95


def test_fixed_shapes_fill_up_with_what_is_ignored() -> None:
    [plain] = training_rows().batches(0)
    [fixed] = training_rows(fixed_shapes=True).batches(0)
    num_targets = plain.num_targets
    assert fixed.num_targets == num_targets < len(fixed.targets_M)
    assert torch.equal(fixed.targets_M[:num_targets], plain.targets_M)
    assert fixed.targets_M[num_targets:].eq(IGNORED).all()
    [other] = training_rows(fixed_shapes=True).batches(1)
    assert len(other.targets_M) == len(fixed.targets_M)


def test_special_tokens_are_never_targets() -> None:
    for batch in training_rows(rows_per_step=40, micro_rows=40).batches(0):
        assert not np.isin(batch.targets_M.numpy(), CONFIG.special_ids).any()


def test_batches_made_ahead_come_in_order() -> None:
    rows = training_rows()
    with batches_ahead(rows, 5) as following:
        for step in (5, 6, 7):
            [batch] = following()
            assert torch.equal(batch.targets_M, rows.batches(step)[0].targets_M)


def test_a_failure_ahead_is_raised_where_the_batch_is_asked_for() -> None:
    class Broken(MadeUpRows):
        def row(self, row: int) -> list[np.ndarray]:
            raise OSError("the disk is gone")

    with batches_ahead(training_rows(rows=Broken()), 0) as following, pytest.raises(OSError):
        following()


RANKED = st.fixed_dictionaries(
    {
        "rows_per_step": st.integers(6, 30),
        "initial_rows": st.integers(6, 6),
        "ramp_steps": st.integers(0, 6),
        "micro_rows": st.integers(1, 9),
        "final_mask_frac": st.none() | st.floats(0.05, 0.6),
        "joins": st.none() | st.just(PAIRS),
    }
)


@settings(deadline=None, max_examples=40)
@given(RANKED, st.integers(1, 6), st.integers(0, 25), st.integers(0, 90))
def test_ranks_together_learn_what_one_alone_does(
    changes: dict[str, Any], num_ranks: int, step: int, num_skipped_rows: int
) -> None:
    alone = training_rows(**{**changes, "micro_rows": 100})
    [whole] = alone.batches(step, num_skipped_rows)
    ranks = [training_rows(rank=rank, num_ranks=num_ranks, **changes) for rank in range(num_ranks)]
    shares = [rows.batches(step, num_skipped_rows) for rows in ranks]
    batches = [batch for share in shares for batch in share]
    row_ids_BL = torch.cat([batch.batch.token_ids_BL for batch in batches])
    assert torch.equal(row_ids_BL, whole.batch.token_ids_BL)
    assert torch.equal(torch.cat([batch.targets_M for batch in batches]), whole.targets_M)
    assert [row for batch in batches for row in text(batch)] == text(whole)
    assert sum(batch.num_targets for batch in batches) == whole.num_targets
    assert all(
        rows.chosen(step, num_skipped_rows) == alone.chosen(step, num_skipped_rows)
        for rows in ranks
    )
    sizes = [sum(len(batch.batch.token_ids_BL) for batch in share) for share in shares]
    assert sizes == [
        len(part) for part in np.array_split(range(alone.num_rows_in(step)), num_ranks)
    ]
    assert min(sizes) >= 1


@settings(deadline=None, max_examples=20)
@given(RANKED, st.integers(0, 8), st.integers(0, 50))
def test_going_on_anywhere_is_as_running_through(
    changes: dict[str, Any], begin: int, num_skipped_rows: int
) -> None:
    with batches_ahead(training_rows(**changes), 0, num_skipped_rows) as following:
        through = [digest(following()) for _ in range(10)]
    with batches_ahead(training_rows(**changes), begin, num_skipped_rows) as following:
        assert [digest(following()) for _ in range(begin, 10)] == through[begin:]


@settings(deadline=None, max_examples=50)
@given(
    RANKED,
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 50)), min_size=1, max_size=4),
)
def test_updates_take_all_rows_but_those_that_are_skipped(
    changes: dict[str, Any], parts: list[tuple[int, int]]
) -> None:
    """Parts of a run of so many updates, each after passing over so many rows."""
    rows = training_rows(**changes)
    seen: list[tuple[int, int]] = []
    expected: list[int] = []
    step = num_skipped_rows = place = 0
    for num_steps, num_skipped in parts:
        num_skipped_rows += num_skipped
        place += num_skipped
        for _ in range(num_steps):
            seen += rows.chosen(step, num_skipped_rows)
            expected += range(place, place + rows.num_rows_in(step))
            place += rows.num_rows_in(step)
            step += 1
    every = rows_at_places(range(place), 40, seed=0)
    assert seen == [every[each] for each in expected]


@pytest.mark.parametrize("step", [10**6, 10**9])
def test_a_far_step_takes_no_longer(step: int) -> None:
    rows = training_rows(initial_rows=2, ramp_steps=100_000, rank=1, num_ranks=2)
    began = time.process_time()
    [batch] = rows.batches(step, num_skipped_rows=10**9)
    assert time.process_time() - began < 0.5
    assert len(batch.batch.token_ids_BL) == 4


def test_the_masked_part_changes_over_the_run() -> None:
    rows = training_rows(mask_frac=0.5, final_mask_frac=0.2, max_steps=11, fixed_shapes=True)
    fracs = [rows.mask_frac_at(step) for step in (0, 5, 10, 30)]
    assert fracs == pytest.approx([0.5, 0.35, 0.2, 0.2])
    batches = [rows.batches(step)[0] for step in (0, 5, 10)]
    for batch, frac in zip(batches, fracs, strict=False):
        num_text = batch.num_tokens - 2 * batch.batch.num_sequences
        assert batch.num_targets == pytest.approx(frac * num_text, abs=8 * 0.5)
    assert {len(batch.targets_M) for batch in batches} == {8 * 16}
    assert training_rows(max_steps=1).mask_frac_at(0) == 0.3


def test_whole_words_are_masked_whole() -> None:
    [batch] = training_rows(rows_per_step=40, micro_rows=40, joins=PAIRS).batches(0)
    rows_BL = np.array(text(batch))
    is_masked_BL = np.zeros(rows_BL.shape, dtype=bool)
    is_masked_BL.flat[batch.positions_M.numpy()] = True
    first = (rows_BL[:, :-1] >= 5) & PAIRS.ends_inside_V[rows_BL[:, :-1]]
    pair = first & (rows_BL[:, 1:] >= 5) & PAIRS.starts_inside_V[rows_BL[:, 1:]]
    assert (is_masked_BL[:, :-1][pair] == is_masked_BL[:, 1:][pair]).all()
    assert 0.2 < is_masked_BL[:, 1:][pair].mean() < 0.4


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 0.99), st.none() | st.floats(0.01, 0.99), st.none() | st.just(PAIRS))
def test_fixed_shapes_hold_at_every_step_and_part(
    mask_frac: float, final_mask_frac: float | None, joins: WordJoins | None
) -> None:
    masking = {"mask_frac": mask_frac, "final_mask_frac": final_mask_frac, "joins": joins}
    rows = training_rows(fixed_shapes=True, **masking)
    assert len({len(rows.batches(step)[0].targets_M) for step in (0, 7, 19)}) == 1


@pytest.mark.parametrize("fixed_shapes", [False, True])
def test_rows_without_known_text_have_no_targets(fixed_shapes: bool) -> None:
    class Unknown(MadeUpRows):
        def row(self, row: int) -> list[np.ndarray]:
            return [np.full(9, CONFIG.unk_id, dtype=np.uint16)]

    [batch] = training_rows(rows=Unknown(), joins=PAIRS, fixed_shapes=fixed_shapes).batches(0)
    assert batch.num_targets == 0
    assert batch.targets_M.eq(IGNORED).all()
    assert len(batch.targets_M) == len(batch.positions_M) == fixed_shapes * 8 * 10
    assert batch.num_tokens == 8 * 11


@pytest.mark.parametrize("changes", [{"rows_per_step": 3}, {"initial_rows": 3, "ramp_steps": 2}])
def test_fewer_rows_than_ranks_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(RequestError, match="3 rows cannot be shared by 4 processes"):
        training_rows(num_ranks=4, **changes)
