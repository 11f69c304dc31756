import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.batch import Runs
from model.blocks import Extents, find_blocks

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=40)


def runs_of(lengths: list[int]) -> Runs:
    ends = np.cumsum([0, *lengths])
    # The end is repeated, as in a real batch.
    offsets_R1 = torch.tensor([*ends.tolist(), int(ends[-1])], dtype=torch.int32)
    return Runs(offsets_R1, max(lengths))


def num_pairs(blocks: tuple[Extents, ...]) -> int:
    return sum(len(block) * block.longest**2 for block in blocks)


@settings(max_examples=80, deadline=None)
@given(LENGTHS)
def test_every_token_lies_in_one_sequence_of_one_block(lengths: list[int]) -> None:
    blocks = find_blocks(runs_of(lengths))
    spans = [
        (int(start), int(length))
        for block in blocks
        for start, length in zip(block.starts_S, block.lengths_S, strict=True)
    ]
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    assert sorted(spans) == list(zip(starts, lengths, strict=True))


@settings(max_examples=80, deadline=None)
@given(LENGTHS)
def test_blocks_save_work_and_are_few(lengths: list[int]) -> None:
    blocks = find_blocks(runs_of(lengths))
    one = len(lengths) * max(lengths) ** 2
    assert num_pairs(blocks) <= one - (len(blocks) - 1) * 2**15
    assert [block.longest for block in blocks] == sorted(
        (block.longest for block in blocks), reverse=True
    )


def test_sequences_of_one_length_are_even() -> None:
    [even] = find_blocks(runs_of([30, 30, 30]))
    [uneven] = find_blocks(runs_of([30, 30, 29]))
    assert even.are_even
    assert not uneven.are_even


def test_short_and_long_sequences_part() -> None:
    blocks = find_blocks(runs_of([1000, *[20] * 50]))
    assert [(len(block), block.longest) for block in blocks] == [(1, 1000), (50, 20)]


def test_short_sequences_stay_together() -> None:
    assert len(find_blocks(runs_of([3, 30, 12, 25]))) == 1
