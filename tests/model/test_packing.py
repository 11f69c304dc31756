"""Packing loses nothing, overfills nothing, wastes next to nothing and crumbles nothing."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.packing import PackedTokens, PackingPlan, plan_packing

Lengths = npt.NDArray[np.int64]
ROW_TOKENS = 256
OVERHEAD = 2
RNG = np.random.default_rng

DISTRIBUTIONS: dict[str, Callable[[], Lengths]] = {
    "just over half a row": lambda: np.full(4000, 150),
    "exactly half a row": lambda: np.full(4000, 126),
    "one over half a row": lambda: np.full(4000, 127),
    "one token": lambda: np.full(40_000, 1),
    "four tokens": lambda: np.full(20_000, 4),
    "nine tokens": lambda: np.full(20_000, 9),
    "a full row": lambda: np.full(1000, 254),
    "one more than a row": lambda: np.full(1500, 255),
    "two rows and one": lambda: np.full(1500, 509),
    "nearly a row": lambda: RNG(0).integers(200, 254, 3000),
    "about half a row": lambda: RNG(1).integers(120, 160, 4000),
    "one giant": lambda: np.array([3_000_000]),
    "giants": lambda: RNG(2).integers(10_000, 200_000, 40),
    "tiny and half": lambda: np.tile([1, 150], 4000),
    "lognormal": lambda: RNG(3).lognormal(4.5, 1.0, 20_000).astype(np.int64),
    "uniform": lambda: RNG(4).integers(0, 700, 10_000),
}


def plan(lengths: list[int] | Lengths, row_tokens: int = ROW_TOKENS) -> PackingPlan:
    return plan_packing(np.asarray(lengths, dtype=np.int64), row_tokens=row_tokens)


def used_slots(packing: PackingPlan) -> Lengths:
    slots = packing.piece_length + OVERHEAD
    rows = zip(packing.row_offsets_R1[:-1], packing.row_offsets_R1[1:], strict=True)
    return np.array([slots[begin:end].sum() for begin, end in rows], dtype=np.int64)


def covered(packing: PackingPlan) -> dict[int, list[tuple[int, int]]]:
    """The spans of each document, in the order of their starts."""
    spans: dict[int, list[tuple[int, int]]] = {}
    for document, start, length in zip(
        packing.piece_document.tolist(),
        packing.piece_start.tolist(),
        packing.piece_length.tolist(),
        strict=True,
    ):
        spans.setdefault(document, []).append((start, length))
    return {document: sorted(pieces) for document, pieces in spans.items()}


def assert_each_token_once(packing: PackingPlan, lengths: list[int]) -> None:
    spans = covered(packing)
    for document, length in enumerate(lengths):
        at = 0
        for start, piece_length in spans.get(document, []):
            assert start == at, f"document {document} has a gap or an overlap at {at}"
            assert piece_length > 0
            at += piece_length
        assert at == length
    assert set(spans) <= set(range(len(lengths)))


@settings(max_examples=200, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 40) | st.integers(0, 600), max_size=60),
    row_tokens=st.integers(3, 80) | st.just(256),
)
def test_every_token_stands_in_exactly_one_row(lengths: list[int], row_tokens: int) -> None:
    packing = plan(lengths, row_tokens)
    assert_each_token_once(packing, lengths)
    assert packing.row_offsets_R1[0] == 0
    assert packing.row_offsets_R1[-1] == len(packing.piece_length)
    used = used_slots(packing)
    assert (used > 0).all()
    assert (used <= row_tokens).all()


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_rows_are_full(name: str) -> None:
    lengths = DISTRIBUTIONS[name]()
    packing = plan(lengths)
    assert_each_token_once(packing, lengths.tolist())
    used = used_slots(packing)
    assert (used <= ROW_TOKENS).all()
    assert used[:-1].sum() >= 0.995 * ROW_TOKENS * (packing.num_rows - 1)
    assert packing.fill_frac == pytest.approx(used.sum() / (ROW_TOKENS * packing.num_rows))


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.tuples(st.integers(2, 400), st.integers(0, 200)), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_mixtures_fill_their_rows(kinds: list[tuple[int, int]], seed: int) -> None:
    parts = [RNG(seed).integers(low, low + spread + 1, 800) for low, spread in kinds]
    used = used_slots(plan(np.concatenate(parts)))
    assert used[:-1].sum() >= 0.995 * ROW_TOKENS * (len(used) - 1) - ROW_TOKENS


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_cuts_leave_few_crumbs(name: str) -> None:
    lengths = DISTRIBUTIONS[name]()
    packing = plan(lengths)
    is_crumb = (packing.piece_length < 8) & (lengths[packing.piece_document] >= 32)
    assert is_crumb.mean() <= 0.04


def test_documents_that_fit_whole_stay_whole() -> None:
    lengths = RNG(5).integers(1, 200, 5000)
    assert len(plan(lengths).piece_length) == len(lengths)


def test_a_long_document_becomes_full_rows_without_a_crumb() -> None:
    packing = plan([254 * 3 + 1])
    assert covered(packing) == {0: [(0, 254), (254, 254), (508, 239), (747, 16)]}


def test_the_plan_is_a_function_of_the_lengths() -> None:
    lengths = DISTRIBUTIONS["lognormal"]()
    one, other = plan(lengths), plan(lengths.copy())
    assert np.array_equal(one.piece_document, other.piece_document)
    assert np.array_equal(one.piece_start, other.piece_start)
    assert np.array_equal(one.row_offsets_R1, other.row_offsets_R1)


def test_rows_give_back_the_tokens() -> None:
    lengths = RNG(6).integers(0, 500, 200)
    documents = [np.arange(length) + 1000 * i for i, length in enumerate(lengths)]
    packed = PackedTokens(plan(lengths), documents)
    pieces = [piece for row in range(packed.num_rows) for piece in packed.row(row)]
    expected = np.sort(np.concatenate(documents))
    assert np.array_equal(np.sort(np.concatenate(pieces)), expected)
    assert all(np.shares_memory(piece, documents[piece[0] // 1000]) for piece in pieces)


def test_nothing_packs_into_no_rows() -> None:
    for lengths in ([], [0, 0]):
        packing = plan(lengths)
        assert packing.num_rows == 0
        assert packing.num_tokens == 0
        assert packing.fill_frac == 1.0


def test_a_row_without_room_for_a_token_is_refused() -> None:
    with pytest.raises(ValueError, match="row_tokens is 2, but 2 slots are special tokens"):
        plan([5], row_tokens=2)
