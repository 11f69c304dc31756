import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batch import Runs, batch_from_rows
from model.blocks import Blocks, find_blocks
from tests.model.encoders import IDS

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=40)


def runs_of(lengths: list[int]) -> Runs:
    ends = np.cumsum([0, *lengths])
    # The end is repeated, as in a real batch.
    offsets_R1 = torch.tensor([*ends.tolist(), int(ends[-1])], dtype=torch.int32)
    return Runs(offsets_R1, max(lengths))


def num_pairs(blocks: Blocks) -> int:
    return sum(block.num_sequences * block.length**2 for block in blocks.blocks)


@settings(max_examples=80, deadline=None)
@given(LENGTHS)
def test_every_token_has_one_place_and_finds_home(lengths: list[int]) -> None:
    blocks = find_blocks(runs_of(lengths))
    values_N = torch.arange(sum(lengths))
    parts = [block.take(values_N).flatten() for block in blocks.blocks]
    assert torch.equal(blocks.back_home(parts), values_N)
    assert sorted(n for block in blocks.blocks for n in block.lengths_S.tolist()) == sorted(lengths)


@settings(max_examples=80, deadline=None)
@given(LENGTHS)
def test_what_lies_past_an_end_is_emptied_and_nothing_else(lengths: list[int]) -> None:
    blocks = find_blocks(runs_of(lengths))
    ones_N = torch.ones(sum(lengths), 2)
    kept = [block.without_filling(block.take(ones_N).clone()) for block in blocks.blocks]
    assert sum(int(values_SL2.sum()) for values_SL2 in kept) == 2 * sum(lengths)
    assert all(
        block.is_full == bool((block.lengths_S == block.length).all()) for block in blocks.blocks
    )


@settings(max_examples=80, deadline=None)
@given(LENGTHS)
def test_blocks_save_work_and_are_few(lengths: list[int]) -> None:
    blocks = find_blocks(runs_of(lengths))
    one = len(lengths) * max(lengths) ** 2
    assert num_pairs(blocks) <= one - (len(blocks.blocks) - 1) * 2**15


def test_rows_of_one_length_are_the_batch_itself() -> None:
    pieces = [[np.arange(10, 40)], [np.arange(10, 40)]]
    [block] = find_blocks(batch_from_rows(pieces, row_tokens=32, **IDS).runs).blocks
    assert block.is_batch
    values_N = torch.arange(64)
    assert block.take(values_N).data_ptr() == values_N.data_ptr()


def test_short_and_long_sequences_part() -> None:
    blocks = find_blocks(runs_of([1000, *[20] * 50])).blocks
    assert [(block.num_sequences, block.length) for block in blocks] == [(1, 1000), (50, 20)]
    assert not any(block.is_batch for block in blocks)


def test_short_sequences_stay_together() -> None:
    assert len(find_blocks(runs_of([3, 30, 12, 25])).blocks) == 1
