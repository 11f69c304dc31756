"""Resamples of judged pairs: texts where texts recur, against lists written out pair by pair."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from model.rank_correlation import weighted_rank_correlations
from tasks.evaluate import pair_resampling
from tasks.evaluate.pair_resampling import PairUnits, pair_units


def drawn(units: PairUnits, num_resamples: int = 300, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(units.counts(num_resamples=num_resamples, seed=seed)))


def all_pairs(num_texts: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.triu_indices(num_texts, k=1)
    return first, second


def test_pairs_of_recurring_texts_are_those_of_the_drawn_copies() -> None:
    num_texts = 6
    first, second = all_pairs(num_texts)
    units = pair_units(first, second)
    assert (units.sizes, units.has_texts) == ((num_texts,), True)
    picks = np.random.default_rng(7).integers(0, num_texts, size=(50, num_texts))
    for counts, copies in zip(drawn(units, 50, seed=7), picks, strict=True):
        # Every pair of copies, each way round; two of one text are no judged pair.
        expanded = Counter((a, b) for a, b in product(copies.tolist(), repeat=2) if a < b)
        judged = zip(first.tolist(), second.tolist(), strict=True)
        assert counts.tolist() == [expanded[pair] for pair in judged]


def test_where_no_text_recurs_pairs_are_drawn() -> None:
    first, second = np.arange(0, 20, 2), np.arange(1, 20, 2)
    units = pair_units(first, second)
    assert (units.sizes, units.has_texts) == ((10,), False)
    picks = np.random.default_rng(3).integers(0, 10, size=(40, 10))
    expected = [np.bincount(row, minlength=10).tolist() for row in picks]
    assert drawn(units, 40, seed=3).tolist() == expected


def test_sides_without_a_common_text_are_drawn_apart() -> None:
    queries, documents = np.repeat([0, 1, 2], 5), np.tile(np.arange(3, 8), 3)
    units = pair_units(queries, documents)
    assert units.sizes == (3, 5)
    tables = drawn(units).reshape(-1, 3, 5)
    assert (tables.sum(axis=(1, 2)) == 15).all()  # 3 queries times 5 documents, always
    assert (np.linalg.matrix_rank(tables) == 1).all()  # a product of both sides' multiplicities
    both = pair_units(np.append(queries, 3), np.append(documents, 4))
    assert both.sizes == (8,)


def test_a_pair_that_shares_no_text_is_drawn_as_one_beside_those_that_do() -> None:
    first, second = np.array([0, 0, 1, 5, 7]), np.array([1, 2, 2, 6, 7])
    units = pair_units(first, second)
    assert units.sizes == (3, 2)
    counts = drawn(units)
    assert (counts[:, 3:].sum(axis=1) == 2).all()
    squares = counts[:, 0] * counts[:, 1] * counts[:, 2]
    assert (np.sqrt(squares) % 1 == 0).all()  # ab * ac * bc


def test_a_text_judged_with_itself_counts_as_often_as_it_is_drawn() -> None:
    units = pair_units(np.array([0, 0, 1]), np.array([0, 1, 1]))
    assert units.sizes == (2,)
    for itself, mixed, other in drawn(units).tolist():
        assert itself + other == 2
        assert mixed == itself * other


def test_blocks_change_nothing_and_a_seed_something(monkeypatch: pytest.MonkeyPatch) -> None:
    units = pair_units(np.append(np.repeat([0, 1, 2], 5), 8), np.append(np.tile([3, 4, 5], 5), 9))
    assert len(units.sizes) == 3
    whole = drawn(units)
    assert whole.tolist() != drawn(units, seed=1).tolist()
    monkeypatch.setattr(pair_resampling, "_COUNTED_AT_ONCE", 100)
    assert whole.tolist() == drawn(units).tolist()


def of_texts(rng: np.random.Generator, num_texts: int) -> tuple[np.ndarray, np.ndarray]:
    """What a system and people make of all pairs of a new set of texts: both go by how far apart
    the texts are, and the system is wrong about some texts in all their pairs."""
    first, second = all_pairs(num_texts)
    places, errors = rng.normal(size=(2, num_texts))
    judged = -np.abs(places[first] - places[second])
    return judged + 0.5 * (errors[first] + errors[second]), judged


def test_intervals_over_texts_cover_another_set_of_texts_and_those_over_pairs_do_not() -> None:
    rng = np.random.default_rng(0)
    first, second = all_pairs(25)
    by_texts = drawn(pair_units(first, second), 200)
    by_pairs = drawn(pair_units(2 * np.arange(300), 2 * np.arange(300) + 1), 200)
    once = np.ones((1, 300), np.int64)
    samples = [of_texts(rng, 25) for _ in range(100)]
    truth = np.mean([weighted_rank_correlations(*sample, once)[0] for sample in samples])
    covered = {}
    for name, counts in (("texts", by_texts), ("pairs", by_pairs)):
        found = [weighted_rank_correlations(*sample, counts) for sample in samples]
        low, high = np.quantile(found, [0.025, 0.975], axis=1)
        covered[name] = np.mean((low <= truth) & (truth <= high))
    assert covered["texts"] >= 0.88
    assert covered["pairs"] <= 0.75
