from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.batch import Batch, batch_from_rows, batch_from_sequences
from model.errors import RequestError

IDS = {"cls_id": 2, "sep_id": 3, "pad_id": 0}


def test_each_piece_is_framed_numbered_and_counted_from_zero() -> None:
    rows = [[np.array([7, 8]), np.array([9])], [np.array([10, 11, 12, 13])]]
    batch = batch_from_rows(rows, row_tokens=8, **IDS)
    assert batch.token_ids_BL.tolist() == [[2, 7, 8, 3, 2, 9, 3, 0], [2, 10, 11, 12, 13, 3, 0, 0]]
    assert batch.sequence_ids_BL.tolist() == [[1, 1, 1, 1, 2, 2, 2, 0], [3, 3, 3, 3, 3, 3, 0, 0]]
    assert batch.positions_BL.tolist() == [[0, 1, 2, 3, 0, 1, 2, 0], [0, 1, 2, 3, 4, 5, 0, 0]]
    assert batch.num_sequences == 3
    assert batch.num_tokens == 13


def test_a_row_that_is_too_short_is_refused() -> None:
    with pytest.raises(RequestError, match="ends at 7, past the row's 6"):
        batch_from_rows([[np.arange(5)]], row_tokens=6, **IDS)
    with pytest.raises(RequestError, match="past the row's 6"):
        batch_from_sequences([np.arange(5)], row_tokens=6, **IDS)


@given(st.lists(st.integers(0, 14), max_size=40))
def test_sequences_keep_their_order_tokens_and_room(lengths: list[int]) -> None:
    generator = np.random.default_rng(0)
    sequences = [generator.integers(5, 99, size=length) for length in lengths]
    batch = batch_from_sequences(sequences, row_tokens=16, **IDS)
    assert batch.num_sequences == len(sequences)
    for number, sequence in enumerate(sequences, start=1):
        inside = batch.sequence_ids_BL == number
        assert inside.any(dim=1).sum() == 1
        assert batch.token_ids_BL[inside].tolist() == [2, *sequence.tolist(), 3]
        assert batch.positions_BL[inside].tolist() == list(range(len(sequence) + 2))
    assert batch.num_tokens == sum(lengths) + 2 * len(lengths)
    # First-fit leaves no two rows that would fit into one.
    used = (batch.sequence_ids_BL > 0).sum(dim=1).sort().values
    assert len(used) < 2 or int(used[:2].sum()) > 16


def test_without_a_length_rows_are_as_long_as_the_longest_sequence() -> None:
    sequences = [np.array([5]), np.array([6, 7, 8, 9]), np.array([8])]
    assert batch_from_sequences(sequences, row_tokens=None, **IDS).token_ids_BL.shape == (2, 6)


@given(st.lists(st.lists(st.integers(1, 6), max_size=3), min_size=1, max_size=6))
def test_runs_cut_the_stream_at_sequences_and_padding(lengths: list[list[int]]) -> None:
    rows = [[np.full(length, 9) for length in row] for row in lengths]
    batch = batch_from_rows(rows, row_tokens=24, **IDS)
    offsets = batch.runs.offsets_R1.tolist()
    assert (len(offsets) & (len(offsets) - 1)) == 0
    assert offsets == sorted(offsets)
    assert (offsets[0], offsets[-1]) == (0, 24 * len(rows))
    expected: list[int] = []
    for row in lengths:
        expected += [length + 2 for length in row]
        padding = 24 - sum(length + 2 for length in row)
        expected += [padding] if padding else []
    assert [size for size in np.diff(offsets).tolist() if size] == expected


def test_runs_are_found_before_a_batch_leaves_the_cpu() -> None:
    batch = batch_from_rows([[np.array([7])]], row_tokens=4, **IDS)
    assert batch.known_runs is None
    moved = batch.to("meta")
    assert isinstance(moved, Batch)
    assert moved.known_runs is not None
    assert moved.max_seq_len == 4
    assert moved.cu_seqlens_S1.dtype == torch.int32


@given(
    st.lists(st.lists(st.integers(1, 6), max_size=3), min_size=1, max_size=4),
    st.lists(st.integers(0, 23), max_size=30),
)
def test_positions_are_counted_to_their_runs_however_often_they_ask(
    lengths: list[list[int]], asked: list[int]
) -> None:
    batch = batch_from_rows([[np.full(n, 9) for n in row] for row in lengths], row_tokens=24, **IDS)
    asking = batch.runs.of(torch.tensor(sorted(asked), dtype=torch.int64))
    assert asking.offsets_R1.dtype == torch.int32
    ends = pairwise(batch.runs.offsets_R1.tolist())
    expected = [sum(start <= position < end for position in asked) for start, end in ends]
    assert np.diff(asking.offsets_R1.tolist()).tolist() == expected
    assert asking.max_length >= max(expected)
