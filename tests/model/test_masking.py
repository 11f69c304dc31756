import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.config import EncoderConfig
from model.counter import Purpose, random_words
from model.masking import mask_for_training, mask_for_validation, num_masked

CONFIG = EncoderConfig(
    vocab_size=300, hidden_size=8, num_layers=1, num_heads=1, intermediate_size=8
)
ROW = np.array([2, *range(5, 295), 3, 0, 0, 0])
TRAINING = {"mask_frac": 0.3, "seed": 0, "epoch": 0}


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


def test_shares_are_as_published() -> None:
    rows = [mask_for_training(ROW, CONFIG, row=row, **TRAINING) for row in range(400)]
    assert all(len(row.positions_M) == round(0.3 * 290) for row in rows)
    shown = np.concatenate([row.token_ids_L[row.positions_M] for row in rows])
    targets = np.concatenate([row.targets_M for row in rows])
    masked, same = shown == CONFIG.mask_id, shown == targets
    standard_error = 0.4 / len(shown) ** 0.5
    assert masked.mean() == pytest.approx(0.8, abs=4 * standard_error)
    assert same.mean() == pytest.approx(0.1 + 0.1 / 295, abs=4 * standard_error)
    # Every text token is put in, none much more often than another.
    counts = np.bincount(shown[~masked & ~same], minlength=300)[5:]
    assert counts.min() > 0
    assert counts.max() < 4 * counts.mean()


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
