"""The best fixed distance: right where the head stands there, never for roots."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.fixed_offsets import offsets, offsets_right
from tests.model.test_trees import random_heads


def test_nearest_offsets_come_first() -> None:
    assert offsets(3).tolist() == [1, -1, 2, -2, 3, -3]


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6), seed=st.integers(0, 999))
def test_right_equals_a_loop(sizes: list[int], seed: int) -> None:
    rows = [random_heads(size, seed + index) for index, size in enumerate(sizes)]
    head = torch.tensor([head for row in rows for head in row])
    found = offsets_right(head, torch.tensor(sizes), max_offset=4)
    expected = [
        [head > 0 and head - number == offset for offset in offsets(4).tolist()]
        for row in rows
        for number, head in enumerate(row, start=1)
    ]
    assert found.tolist() == expected


def test_a_chain_is_all_one_offset() -> None:
    right = offsets_right(torch.tensor([2, 3, 4, 0, 2, 0]), torch.tensor([4, 2]))
    assert right[:, 0].tolist() == [True, True, True, False, True, False]
    assert not right[:, 1:].any()
