import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.config import EncoderConfig
from model.counter import Purpose, random_words
from model.errors import RequestError
from model.masking import (
    MaskedRow,
    Masking,
    WordJoins,
    mask_for_training,
    mask_for_validation,
    num_masked,
)

CONFIG = EncoderConfig(
    vocab_size=300, hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8
)
ROW = np.array([2, *range(5, 295), 3, 0, 0, 0])
TRAINING = {"masking": Masking(mask_frac=0.3), "mask_frac": 0.3, "seed": 0, "epoch": 0}
SCATTERED = EncoderConfig(
    vocab_size=100,
    hidden_size=8,
    num_layers=1,
    num_heads=1,
    intermediate_size=8,
    pad_id=99,
    unk_id=0,
    cls_id=50,
    sep_id=51,
    mask_id=7,
)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x64 with ten rounds, written down from the paper."""
    mask = 2**64 - 1
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [
            (second >> 64) ^ counter[1] ^ key[0],
            second & mask,
            (first >> 64) ^ counter[3] ^ key[1],
            first & mask,
        ]
        key = [(key[0] + 0x9E3779B97F4A7C15) & mask, (key[1] + 0xBB67AE8584CAA73B) & mask]
    return counter


def test_words_are_those_of_the_published_generator() -> None:
    words = random_words(8, purpose=Purpose.TRAINING_MASK, seed=11, epoch=3, index=5)
    key = [11, (Purpose.TRAINING_MASK << 32) + 3]
    assert words.tolist() == philox([1, 5, 0, 0], key) + philox([2, 5, 0, 0], key)


def test_words_of_different_items_are_different() -> None:
    streams = {
        tuple(random_words(4, purpose=purpose, seed=seed, epoch=epoch, index=index).tolist())
        for purpose in Purpose
        for seed in (0, 1)
        for epoch in (0, 1)
        for index in (0, 1, 2**33)
    }
    assert len(streams) == len(Purpose) * 2 * 2 * 3


def test_special_tokens_are_neither_masked_nor_put_in() -> None:
    for row in range(200):
        masked = mask_for_training(ROW, CONFIG, row=row, **TRAINING)
        assert not np.isin(masked.targets_M, CONFIG.special_ids).any()
        shown_M = masked.token_ids_L[masked.positions_M]
        assert not np.isin(shown_M, [0, 1, 2, 3]).any()
        untouched = np.delete(np.arange(len(ROW)), masked.positions_M)
        assert (masked.token_ids_L[untouched] == ROW[untouched]).all()
        assert (ROW[masked.positions_M] == masked.targets_M).all()
        assert (np.diff(masked.positions_M) > 0).all()


def test_random_tokens_are_any_but_special_ones_wherever_those_lie() -> None:
    row_L = np.array([50, *[20] * 4000, 51, 99])
    masking = Masking(mask_frac=0.9, shares=(0.0, 1.0, 0.0))
    masked = mask_for_training(row_L, SCATTERED, masking, mask_frac=0.9, seed=0, epoch=0, row=0)
    shown = np.bincount(masked.token_ids_L[masked.positions_M], minlength=100)
    assert (np.flatnonzero(shown == 0) == sorted(SCATTERED.special_ids)).all()
    assert shown.max() < 3 * 3600 / 95


@pytest.mark.parametrize(
    "shares",
    [(0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 0.2, 0.3)],
)
def test_shares_are_as_asked_for(shares: tuple[float, float, float]) -> None:
    masking = {**TRAINING, "masking": Masking(mask_frac=0.3, shares=shares)}
    rows = [mask_for_training(ROW, CONFIG, row=row, **masking) for row in range(400)]
    assert all(len(row.positions_M) == round(0.3 * 290) for row in rows)
    shown = np.concatenate([row.token_ids_L[row.positions_M] for row in rows])
    targets = np.concatenate([row.targets_M for row in rows])
    masked, same = shown == CONFIG.mask_id, shown == targets
    as_mask, other, as_is = shares
    four_errors = 4 * 0.5 / len(shown) ** 0.5
    assert masked.mean() == pytest.approx(as_mask, abs=four_errors * (0 < as_mask < 1))
    as_is += other / 295  # another token may be the same one
    assert same.mean() == pytest.approx(as_is, abs=four_errors * (as_is > 0))
    if other:  # every text token is put in, none much more often than another
        counts = np.bincount(shown[~masked & ~same], minlength=300)[5:]
        assert counts.min() > 0
        assert counts.max() < 4 * counts.mean()


@pytest.mark.parametrize(
    "shares", [(0.8, 0.1, 0.2), (0.8, 0.1, 0.0), (1.1, -0.1, 0.0), (float("nan"), 0.5, 0.5)]
)
def test_shares_that_are_no_parts_of_one_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(RequestError, match="three parts of 1"):
        Masking(mask_frac=0.3, shares=shares)


@pytest.mark.parametrize("fracs", [(0.0, None), (1.0, None), (0.3, 0.0), (0.3, 1.5)])
def test_parts_that_leave_nothing_to_see_or_to_guess_are_refused(
    fracs: tuple[float, float | None],
) -> None:
    with pytest.raises(RequestError, match="above 0 and below 1"):
        Masking(mask_frac=fracs[0], final_mask_frac=fracs[1])


def test_every_position_is_as_likely() -> None:
    counts = np.zeros(len(ROW))
    for row in range(1000):
        counts[mask_for_training(ROW, CONFIG, row=row, **TRAINING).positions_M] += 1
    text = counts[1:291]
    assert (counts.sum(), counts[[0, 291, 292]].sum()) == (1000 * 87, 0)
    assert abs(text - 300).max() < 5 * (1000 * 0.3 * 0.7) ** 0.5


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"row": 8}])
def test_masks_depend_on_seed_epoch_and_row_and_nothing_else(change: dict[str, int]) -> None:
    first = mask_for_training(ROW, CONFIG, **{**TRAINING, "row": 7})
    again = mask_for_training(ROW.copy(), CONFIG, **{**TRAINING, "row": 7})
    other = mask_for_training(ROW, CONFIG, **{**TRAINING, "row": 7, **change})
    assert (first.token_ids_L == again.token_ids_L).all()
    assert first.positions_M.tolist() != other.positions_M.tolist()


def test_validation_hides_all_it_asks_for() -> None:
    masked = mask_for_validation(ROW, CONFIG, mask_frac=0.15, seed=0, row=3)
    assert len(masked.positions_M) == round(0.15 * 290)
    assert (masked.token_ids_L[masked.positions_M] == CONFIG.mask_id).all()
    training = mask_for_training(ROW, CONFIG, row=3, **{**TRAINING, "mask_frac": 0.15})
    assert masked.positions_M.tolist() != training.positions_M.tolist()


@given(st.integers(0, 10_000), st.floats(0.001, 0.999))
def test_the_number_of_masks_is_the_nearest_but_never_none(num: int, frac: float) -> None:
    chosen = num_masked(num, frac)
    assert abs(chosen - num * frac) <= 0.5 or chosen == 1
    assert (chosen > 0) == (num > 0)


FRACS = st.floats(0.001, 0.999)


@given(FRACS, st.floats(0, 1))
def test_the_part_stays_exactly_the_same_without_a_schedule(frac: float, progress: float) -> None:
    assert Masking(mask_frac=frac).frac_at(progress) == frac
    assert Masking(mask_frac=frac).max_frac == frac


@given(FRACS, FRACS, st.floats(0, 1))
def test_the_part_goes_in_a_straight_line_from_first_to_last(
    first: float, last: float, progress: float
) -> None:
    masking = Masking(mask_frac=first, final_mask_frac=last)
    assert (masking.frac_at(0), masking.frac_at(1)) == (first, last)
    assert masking.frac_at(progress) == pytest.approx(first + progress * (last - first))
    assert min(first, last) <= masking.frac_at(progress) <= masking.max_frac == max(first, last)


@given(st.integers(0, 10_000), FRACS, FRACS)
def test_a_smaller_part_never_masks_more(num: int, one: float, other: float) -> None:
    assert num_masked(num, min(one, other)) <= num_masked(num, max(one, other))


# Whole words: ids from 100 on begin a word, those from 200 on end one, 250 and more do both.
JOINS = WordJoins(
    starts_inside_V=(np.arange(300) >= 5) & ((np.arange(300) < 100) | (np.arange(300) // 50 == 4)),
    ends_inside_V=(np.arange(300) >= 5) & (np.arange(300) < 200),
)


def mask_words(
    row_L: np.ndarray, mask_frac: float = 0.3, row: int = 0, joins: WordJoins = JOINS
) -> MaskedRow:
    masking = Masking(mask_frac=mask_frac, joins=joins)
    return mask_for_training(row_L, CONFIG, masking, mask_frac=mask_frac, seed=3, epoch=1, row=row)


def words_of(row_L: np.ndarray) -> list[list[int]]:
    """The places of every word, found one token after another."""
    words: list[list[int]] = []
    before = None
    for place, token_id in enumerate(row_L.tolist()):
        if token_id in CONFIG.special_ids:
            before = None
            continue
        goes_on = before is not None and JOINS.ends_inside_V[before]
        if goes_on and JOINS.starts_inside_V[token_id]:
            words[-1].append(place)
        else:
            words.append([place])
        before = token_id
    return words


@given(
    st.lists(st.integers(0, 299), max_size=60).map(lambda ids: np.array(ids, dtype=np.int64)),
    FRACS,
    st.integers(0, 1000),
)
def test_whole_words_are_drawn_one_by_one_while_they_fit(
    row_L: np.ndarray, mask_frac: float, row: int
) -> None:
    words = words_of(row_L)
    turn = random_words(
        2 * len(row_L), purpose=Purpose.TRAINING_MASK, seed=3, epoch=1, index=row
    ).tolist()
    room = num_masked(sum(map(len, words)), mask_frac)
    expected: list[int] = []
    for word in sorted(words, key=lambda word: turn[word[0]]):
        if len(expected) + len(word) <= room:
            expected += word
    masked = mask_words(row_L, mask_frac, row)
    if expected:
        assert masked.positions_M.tolist() == sorted(expected)
    else:  # not one word fits: tokens, so that there is something to guess
        assert len(masked.positions_M) == room
    assert (len(masked.positions_M) > 0) == bool(words)
    assert (masked.targets_M == row_L[masked.positions_M]).all()


def test_a_row_of_one_long_word_is_masked_by_tokens() -> None:
    row_L = np.array([2, *[10] * 100, 3])
    masked = mask_words(row_L)
    assert len(masked.positions_M) == 30
    assert np.diff(masked.positions_M).max() > 1


def test_words_end_where_a_text_does() -> None:
    row_L = np.array([2, 10, 10, 3, 2, 10, 10, 1, 10, 10, 3, 0])
    pairs = [[1, 2], [5, 6], [8, 9]]
    seen = {tuple(mask_words(row_L, 0.34, row).positions_M.tolist()) for row in range(50)}
    assert seen == {tuple(pair) for pair in pairs}


def test_every_word_is_as_likely_wherever_it_stands() -> None:
    sizes = [1, 2, 3, 4] * 40
    row_L = np.array([2, *(i for size in sizes for i in [100, *[10] * (size - 1)]), 3])
    counts = np.zeros(len(row_L))
    for row in range(1000):
        counts[mask_words(row_L, 0.3, row).positions_M] += 1
    assert counts.sum() == 1000 * 120
    of_word = np.array([counts[word].mean() for word in words_of(row_L)]).reshape(-1, 4)
    of_size = of_word.mean(0)
    assert abs(of_word - of_size).max() < 5 * (1000 * 0.3 * 0.7) ** 0.5
    assert of_size == pytest.approx([300] * 4, rel=0.06)  # short words fill the last places


def test_words_of_one_token_are_masked_like_tokens() -> None:
    nothing = np.zeros(300, dtype=np.bool_)
    by_words = mask_words(ROW, joins=WordJoins(nothing, nothing))
    by_tokens = mask_for_training(
        ROW, CONFIG, Masking(mask_frac=0.3), mask_frac=0.3, seed=3, epoch=1, row=0
    )
    assert (by_words.token_ids_L == by_tokens.token_ids_L).all()
    assert (by_words.positions_M == by_tokens.positions_M).all()


@pytest.mark.parametrize("joins", [None, JOINS])
@pytest.mark.parametrize("row", [[], [2, 3], [2, 1, 1, 3, 0, 0]])
def test_a_row_without_known_text_stays_as_it_is(row: list[int], joins: WordJoins | None) -> None:
    row_L = np.array(row, dtype=np.int64)
    masking = Masking(mask_frac=0.3, joins=joins)
    masked = mask_for_training(row_L, CONFIG, masking, mask_frac=0.3, seed=0, epoch=0, row=0)
    assert masked.token_ids_L.tolist() == row
    assert len(masked.positions_M) == len(masked.targets_M) == 0
