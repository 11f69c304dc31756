"""Rank correlation with people's judgements, against scipy, and its intervals."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.errors import RequestError
from model.rank_correlation import rank_correlation
from tasks.evaluate import similarity_pairs
from tasks.evaluate.similarity_pairs import (
    JudgedPairs,
    PairSimilarities,
    pair_difference,
    pair_score,
    pair_similarities,
    read_pairs,
)
from tests.tasks.evaluate.systems import Blind, Letters, Shouting, SparseLetters

RESAMPLING = {"num_resamples": 400, "seed": 0}


def write_pairs(path: Path, rows: list[tuple[str, str, object]]) -> str:
    names = ("text_a", "text_b", "similarity")
    lines = (json.dumps(dict(zip(names, row, strict=True))) for row in rows)
    path.write_text("\n".join(lines))
    return str(path)


def judged(values: np.ndarray) -> JudgedPairs:
    numbers = np.arange(len(values))
    texts = [str(number) for number in numbers]
    return JudgedPairs(texts, texts, numbers, numbers, values)


def pairs_of_matrix(texts: list[str], matrix: np.ndarray) -> Iterator[tuple[str, str, object]]:
    """The older layout: one row a text, similarities above the diagonal."""
    for first, second in zip(*np.triu_indices(len(texts), k=1), strict=True):
        yield texts[first], texts[second], matrix[first, second]


def test_a_matrix_of_similarities_is_pairs_and_each_text_is_embedded_once(tmp_path: Path) -> None:
    texts = ["aaab", "aabb", "abcc", "cccd", "dddd", "eeef"]
    vectors = Letters().vectors(texts)
    matrix = vectors @ vectors.T
    rows = [(a, b, float(s)) for a, b, s in pairs_of_matrix(texts, matrix)]
    pairs = read_pairs(write_pairs(tmp_path / "lee.jsonl", rows))
    assert (len(pairs.judged_P), pairs.first_texts) == (15, texts[:-1])
    for system in (Letters(), SparseLetters()):
        [found] = pair_similarities(system, pairs)
        np.testing.assert_allclose(found.similarities_P, matrix[np.triu_indices(6, k=1)], atol=1e-6)
        score = pair_score(found, pairs, **RESAMPLING)
        assert score.metric == f"{system.name}_similarity_pairs_spearman"
        assert score.estimate.value == pytest.approx(1)
        assert score.estimate.n == 15


def test_widths_are_scored_too_and_many_pairs_go_in_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[str, str, object]] = [("aab", "abb", 2), ("abc", "cde", 1), ("a", "h", "0")]
    pairs = read_pairs(write_pairs(tmp_path / "pairs", rows))
    whole, cut = pair_similarities(Letters(cut_dims=(4,)), pairs)
    assert (whole.system, cut.system) == ("letters", "letters_dim_4")
    assert cut.similarities_P[1] > whole.similarities_P[1]
    monkeypatch.setattr(similarity_pairs, "_PAIRS_AT_ONCE", 2)
    [again, _] = pair_similarities(Letters(cut_dims=(4,)), pairs)
    assert again.similarities_P.tolist() == whole.similarities_P.tolist()


def test_the_first_text_asks_the_second(tmp_path: Path) -> None:
    rows: list[tuple[str, str, object]] = [("AA", "aa", 2), ("AB", "aa", 1), ("B", "a", 0)]
    [found] = pair_similarities(Shouting(), read_pairs(write_pairs(tmp_path / "p", rows)))
    np.testing.assert_allclose(found.similarities_P, [1, 0.5**0.5, 0], atol=1e-6)


def test_a_blind_system_gets_nothing_and_says_so() -> None:
    pairs = judged(np.arange(20.0))
    [found] = pair_similarities(Blind(), pairs)
    estimate = pair_score(found, pairs, **RESAMPLING).estimate
    assert found.is_blind
    assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)
    assert not PairSimilarities("other", np.arange(20.0)).is_blind


def noisy(truth: np.ndarray, noise: float, seed: int) -> PairSimilarities:
    drawn = np.random.default_rng(seed).normal(scale=noise, size=len(truth))
    return PairSimilarities(f"noise_{noise}", truth + drawn)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    large = rng.normal(size=200_000)
    truth = rank_correlation(noisy(large, 1.0, 1).similarities_P, large)
    covered = 0
    for seed in range(150):
        values = rng.normal(size=60)
        found = pair_score(noisy(values, 1.0, seed), judged(values), num_resamples=150, seed=seed)
        covered += found.estimate.low <= truth <= found.estimate.high
    assert 0.86 <= covered / 150 <= 0.99


def test_a_difference_is_paired_and_that_of_the_scores() -> None:
    truth = np.random.default_rng(3).normal(size=150)
    pairs = judged(truth)
    better, worse = noisy(truth, 0.9, 5), noisy(truth, 1.0, 5)  # the same noise, a little more
    scores = [pair_score(found, pairs, **RESAMPLING).estimate for found in (better, worse)]
    assert scores[0].low < scores[1].high
    found = pair_difference(better, worse, pairs, **RESAMPLING)
    assert (found.system, found.baseline) == ("noise_0.9", "noise_1.0")
    assert found.estimate.value == pytest.approx(scores[0].value - scores[1].value)
    assert found.estimate.excludes_zero


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("a", "b", 1), ("a", "c", 2)], "at least 3 pairs"),
        ([("a", "b", 1)] * 5, "not all judged alike"),
        ([("a", "b", 1), ("a", "b", "much"), ("a", "b", 2)], "row 2: similarity is no finite"),
        ([("a", "b", 1), ("a", "", 1), ("a", "b", 2)], "row 2: text_b is no text"),
    ],
)
def test_pairs_that_cannot_be_ranked_are_refused(
    tmp_path: Path, rows: list[tuple[str, str, object]], complaint: str
) -> None:
    with pytest.raises(RequestError, match=f"evaluate.similarity_pairs: .*p.jsonl.*{complaint}"):
        read_pairs(write_pairs(tmp_path / "p.jsonl", rows))
