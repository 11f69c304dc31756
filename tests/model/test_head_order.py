"""Vectors by head and by token, beside the same by torch.

Letters: N tokens, P parts, H heads, E head size, F half of it, S sequences, L the longest.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model import head_order
from model.blocks import Extents
from model.head_order import DTYPES, Turn, to_heads, to_tokens
from model.rotary import rotary_table, rotate

KERNELS = ("copy_to_heads", "turn_to_heads", "copy_to_tokens", "turn_to_tokens")
LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any)


def extents(lengths: list[int], gap: int = 0) -> Extents:
    """Sequences with `gap` tokens between them that belong to none."""
    lengths_S = np.array(lengths, np.int64)
    return Extents(np.cumsum(lengths_S + gap) - lengths_S - gap, lengths_S)


def random_tokens(num_tokens: int, dtype: torch.dtype, parts: int = 3, heads: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(num_tokens)
    return torch.randn(num_tokens, parts, heads, 6, generator=generator, dtype=dtype)


def turn_of(num_tokens: int, scale: float = 0.3) -> Turn:
    cos_NF, sin_NF = rotary_table(torch.arange(num_tokens), head_size=6, theta=50.0)
    return Turn(cos_NF, sin_NF, scale)


def by_torch(tokens_NPHE: Tensor, part: int, where: Extents) -> Tensor:
    _, _, num_heads, size = tokens_NPHE.shape
    vectors_SHLE = torch.zeros(len(where), num_heads, where.longest, size, dtype=tokens_NPHE.dtype)
    for s, (start, length) in enumerate(zip(where.starts_S, where.lengths_S, strict=True)):
        vectors_SHLE[s, :, :length] = tokens_NPHE[start : start + length, part].transpose(0, 1)
    return vectors_SHLE.flatten(0, 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", [0, 1, -1])
def test_heads_are_those_of_the_tokens_and_zero_past_an_end(dtype: torch.dtype, part: int) -> None:
    @settings(max_examples=40, deadline=None)
    @given(LENGTHS, st.integers(0, 2))
    def check(lengths: list[int], gap: int) -> None:
        where = extents(lengths, gap)
        tokens_NPHE = random_tokens(sum(lengths) + gap * len(lengths), dtype)
        assert torch.equal(to_heads(tokens_NPHE, part, where), by_torch(tokens_NPHE, part, where))

    check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_turned_vectors_are_rotated_in_float32_and_rounded_once(dtype: torch.dtype) -> None:
    tokens_NPHE, where, turn = random_tokens(40, dtype), extents([9, 25, 6]), turn_of(40)
    cos_N1F, sin_N1F = turn.cos_NF[:, None], turn.sin_NF[:, None]
    wide_NHE = tokens_NPHE[:, 1].to(torch.promote_types(dtype, torch.float32))
    turned_N1HE = (rotate(wide_NHE, cos_N1F, sin_N1F) * turn.scale).to(dtype)[:, None]
    # A rounding to the other side, at most, of the last bit.
    tolerance = torch.finfo(dtype).eps if dtype is torch.bfloat16 else 0.0
    torch.testing.assert_close(
        to_heads(tokens_NPHE, 1, where, turn),
        by_torch(turned_N1HE, 0, where),
        rtol=tolerance or 1e-6,
        atol=1e-6,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_turned", [False, True])
def test_what_went_to_the_heads_comes_back_to_its_part(dtype: torch.dtype, is_turned: bool) -> None:
    @settings(max_examples=40, deadline=None)
    @given(LENGTHS, st.integers(0, 2))
    def check(lengths: list[int], gap: int) -> None:
        where, num_tokens = extents(lengths, gap), sum(lengths) + gap * len(lengths)
        turn = turn_of(num_tokens, scale=1.0) if is_turned else None
        tokens_NPHE, filled_NPHE = random_tokens(num_tokens, dtype), random_tokens(99, dtype)
        filled_NPHE = filled_NPHE[:num_tokens].clone()
        expected_NPHE = filled_NPHE.clone()
        for start, length in zip(where.starts_S, where.lengths_S, strict=True):
            expected_NPHE[start : start + length, 1] = tokens_NPHE[start : start + length, 2]
        to_tokens(to_heads(tokens_NPHE, 2, where, turn), filled_NPHE, 1, where, turn)
        tolerance = 4 * torch.finfo(dtype).eps if is_turned else 0.0
        tolerance = max(tolerance, 1e-6) if is_turned else 0.0  # the table is of single precision
        torch.testing.assert_close(filled_NPHE, expected_NPHE, rtol=0, atol=4 * tolerance)

    check()


def test_bfloat16_is_rounded_as_torch_rounds_it() -> None:
    generator = torch.Generator().manual_seed(0)
    bits_N = torch.randint(-(2**31), 2**31, (60_000,), generator=generator).to(torch.int32)
    special_N = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), 3.4e38, 1e-40, 1.00390625])
    values_N = torch.cat((bits_N.view(torch.float32).nan_to_num(nan=1.0), special_N))
    values_N = torch.cat((values_N, torch.zeros(-len(values_N) % 2)))
    # One times what the table says is what is stored.
    turn = Turn(values_N[:, None], torch.zeros(len(values_N), 1))
    tokens_N11E = torch.ones(len(values_N), 1, 1, 2, dtype=torch.bfloat16)
    stored_1NE = to_heads(tokens_N11E, 0, extents([len(values_N)]), turn)
    expected_N = values_N.bfloat16()
    is_finite_N = values_N.isfinite()
    assert torch.equal(stored_1NE[0, is_finite_N, 0], expected_N[is_finite_N])
    assert stored_1NE[0, ~is_finite_N, 0].isfinite().sum() == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_not_a_number_stays_none(dtype: torch.dtype) -> None:
    tokens_NPHE = random_tokens(3, dtype)
    tokens_NPHE[1, 0, 1, 2] = float("nan")
    vectors_GLE = to_heads(tokens_NPHE, 0, extents([3]), turn_of(3))
    assert vectors_GLE.isnan().nonzero().tolist() == [[1, 1, 2], [1, 1, 5]]


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_threads_change_nothing(num_threads: int) -> None:
    tokens_NPHE, where, turn = random_tokens(64, torch.bfloat16), extents([1, 40, 23]), turn_of(64)
    expected_GLE = to_heads(tokens_NPHE, 0, where, turn)
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        assert torch.equal(to_heads(tokens_NPHE, 0, where, turn), expected_GLE)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("is_turned", [False, True])
def test_kernels_compute_the_same_where_nothing_is_compiled(
    dtype: torch.dtype, is_turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens_NPHE, where = random_tokens(9, dtype), extents([2, 4, 3])
    turn = turn_of(9) if is_turned else None
    expected_GLE = to_heads(tokens_NPHE, 1, where, turn)
    for name in KERNELS:
        monkeypatch.setattr(head_order, name, getattr(head_order, name).py_func)
    torch.testing.assert_close(
        to_heads(tokens_NPHE, 1, where, turn), expected_GLE, rtol=1e-6, atol=0
    )
    back_NPHE, same_NPHE = torch.zeros_like(tokens_NPHE), torch.zeros_like(tokens_NPHE)
    to_tokens(expected_GLE, back_NPHE, 1, where, turn)
    monkeypatch.undo()
    to_tokens(expected_GLE, same_NPHE, 1, where, turn)
    torch.testing.assert_close(back_NPHE, same_NPHE, rtol=1e-6, atol=0)
