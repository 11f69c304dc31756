"""Our embedder beside another run's, on the documents that neither was trained on."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.errors import CorpusError
from model.retrieval import smallest_difference
from tasks.corpus import Corpus
from tasks.embedder import Embedder
from tasks.evaluate.comparison import (
    Comparison,
    QuestionsForBoth,
    compared,
    comparison_metrics,
    questions_for_both,
)
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.report_comparison import comparison_sections, comparison_sentence
from tasks.report.page import render_report
from tests.corpora import topic_documents
from tests.tasks.evaluate.folders import write_corpus, write_embedder
from tests.tasks.evaluate.listening import Listening
from tests.tasks.evaluate.other_runs import other_run

MEASURES = ["recall_at_1", "recall_at_10", "mrr"]
KEYS = [(task, m) for task in ("half_document", "hard_half_document") for m in MEASURES]
SETTINGS: dict[str, Any] = {"min_words": 5, "num_resamples": 100, "hard_document_frac": 0.5}


def documents(num: int = 90) -> list[dict[str, Any]]:
    """The last thirty are for training."""
    return [
        {"doc_id": made["id"], "text": made["text"], "split": "train" if at >= 60 else "test"}
        for at, made in enumerate(topic_documents(num))
    ]


def theirs(ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of our sixty test documents the other learned ten, has five in its validation split, and has
    five not at all."""
    split = ["train"] * 10 + ["validation"] * 5 + ["test"] * 40
    known = [made | {"split": to} for made, to in zip(ours, split, strict=False)]
    return [*known, {"doc_id": "own", "text": "only the other has this text", "split": "test"}]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Path]:
    folder = tmp_path_factory.mktemp("own")
    return Corpus(write_corpus(folder / "c", documents())), write_embedder(folder / "t", seed=1)


@pytest.fixture(scope="module")
def found(own: tuple[Corpus, Path], tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    _, other = other_run(tmp_path_factory.mktemp("o") / "w", theirs(documents()), seed=2)
    return comparison(own, other.path)


def comparison(own: tuple[Corpus, Path], other: Path, **settings: Any) -> Comparison:
    config = EvaluateConfig(compare_with=str(other), **(SETTINGS | settings))
    [asked] = questions_for_both(own[0], config)
    return compared(own[1], asked, config, device=torch.device("cpu"), report=Listening())


def ranks(embedder: Embedder, asked: QuestionsForBoth) -> np.ndarray:
    """Of each right answer, counted by hand."""
    first, second = (
        embedder.encode_texts(texts)
        for texts in (asked.halves.first_halves, asked.halves.second_halves)
    )
    alike = first @ second.T
    return np.array([(row >= row[number]).sum() for number, row in enumerate(alike)])


def test_only_documents_that_are_test_for_both_are_asked(found: Comparison) -> None:
    asked = found.asked
    assert asked.halves.doc_ids == [made["doc_id"] for made in documents()[15:55]]
    assert asked.hard.doc_ids == asked.halves.doc_ids
    assert asked.hard.num_masked_words > 0
    assert (asked.common.num_common, asked.common.num_learned) == (40, 15)
    assert asked.common.num_unknown == 5


def test_both_rank_the_common_halves_and_no_other(found: Comparison, own: Any) -> None:
    ours, others = (
        ranks(Embedder.load(path), found.asked) for path in (own[1], found.asked.folder)
    )
    scores = {(s.system, s.task, s.measure): s.estimate for s in found.scores}
    assert list(scores) == [
        (system, *key) for system in ("corpusmith", found.asked.name) for key in KEYS
    ]
    for system, expected in (("corpusmith", ours), (found.asked.name, others)):
        recall = scores[system, "half_document", "recall_at_1"]
        assert (recall.value, recall.n) == (np.mean(expected == 1), 40)
        mrr = scores[system, "half_document", "mrr"]
        assert mrr.value == pytest.approx(np.mean(1 / expected))
    assert (ours != others).any()


def test_the_difference_is_ours_minus_theirs_document_by_document(
    found: Comparison, own: Any
) -> None:
    scores = {(s.system, s.task, s.measure): s.estimate.value for s in found.scores}
    assert [(d.task, d.measure) for d in found.differences] == KEYS
    for each in found.differences:
        assert (each.system, each.baseline) == ("corpusmith", found.asked.name)
        key = (each.task, each.measure)
        expected = scores["corpusmith", *key] - scores[found.asked.name, *key]
        assert each.estimate.value == pytest.approx(expected)
        assert each.estimate.low <= each.estimate.value <= each.estimate.high
    ours, others = (1 / ranks(Embedder.load(f), found.asked) for f in (own[1], found.asked.folder))
    mrr = found.differences[KEYS.index(("half_document", "mrr"))]
    assert found.smallest_of(mrr) == pytest.approx(smallest_difference(ours, others))
    picks = np.random.default_rng(0).integers(0, 40, size=(100, 40))  # the same for both
    resampled = (ours[picks] - others[picks]).mean(axis=1)
    assert mrr.estimate.low == pytest.approx(np.quantile(resampled, 0.025))
    assert mrr.estimate.high == pytest.approx(np.quantile(resampled, 0.975))


def test_metrics_carry_the_others_name(found: Comparison) -> None:
    metrics = comparison_metrics(found)
    name = found.asked.name
    assert metrics[f"{name}_num_queries"] == 40
    assert metrics[f"{name}_num_learned"] == 15
    mrr = found.differences[KEYS.index(("hard_half_document", "mrr"))]
    key = f"{name}_hard_half_document_mrr_difference"
    assert metrics[key] == mrr.estimate.value
    assert metrics[f"{key}_low"] == mrr.estimate.low
    assert metrics[f"{key}_high"] == mrr.estimate.high
    assert metrics[f"{key}_shown_from"] == found.smallest_of(mrr)
    assert len(metrics) == 4 + 3 * len(KEYS) + sum(
        not math.isnan(found.smallest_of(each)) for each in found.differences
    )


def test_the_page_says_who_is_better_on_which_documents(found: Comparison) -> None:
    config = EvaluateConfig(**SETTINGS)
    page = render_report("title", list(comparison_sections([found], config)))
    assert f"Beside other embedder {found.asked.name.removeprefix('other_')}" in page
    assert "40 common test documents; 15 more are known to the other from training" in page
    assert "5 more are not in its corpus" in page
    assert "recall@1, without shared rare words" in page
    assert page.count("<svg") == 2
    assert "on the 40 documents that are test for both" in comparison_sentence(found)
    assert list(comparison_sections([], config)) == []


def test_what_was_left_out_for_its_length_or_by_the_cap_is_said(
    own: tuple[Corpus, Path], tmp_path: Path
) -> None:
    _, other = other_run(tmp_path / "w", documents())
    capped = comparison(own, other.path, max_queries=12, min_words=20)
    config = EvaluateConfig(**(SETTINGS | {"max_queries": 12, "min_words": 20}))
    [section] = comparison_sections([capped], config)
    num_short = capped.asked.halves.num_too_short
    assert num_short > 0
    assert f"{num_short} of the common ones have fewer than 40 words" in section.paragraphs[0]
    assert "a seeded sample of 12 was taken" in section.paragraphs[0]
    assert "12 documents are too few" in comparison_sentence(capped)


def test_an_embedder_beside_itself_is_not_told_apart(
    own: tuple[Corpus, Path], tmp_path: Path
) -> None:
    _, twin = other_run(tmp_path / "w", documents(), seed=1)
    found = comparison(own, twin.path)
    for each in found.differences:
        assert (each.estimate.value, each.estimate.low, each.estimate.high) == (0, 0, 0)
    assert not [key for key in comparison_metrics(found) if key.endswith("shown_from")]
    assert "not distinguishable (0.0 to 0.0 points); 60 documents all came out alike" in (
        comparison_sentence(found)
    )


@pytest.mark.parametrize(("num_common", "advice"), [(0, "0 are test for"), (1, "1 are test for")])
def test_without_two_common_documents_there_is_nothing_to_compare(
    own: tuple[Corpus, Path], tmp_path: Path, num_common: int, advice: str
) -> None:
    made = [
        document | {"split": "test" if number < num_common else "train"}
        for number, document in enumerate(documents())
    ]
    _, other = other_run(tmp_path / "w", made)
    complaint = rf"evaluate\.compare_with: of our 60 test documents {advice} other_.*split_column"
    with pytest.raises(CorpusError, match=complaint) as caught:
        comparison(own, other.path)
    assert "\n" not in str(caught.value)
    assert f"{60 - num_common} are known to it from training" in str(caught.value)


def test_several_are_compared_each_on_its_own_documents(
    own: tuple[Corpus, Path], tmp_path: Path
) -> None:
    runs = [
        other_run(tmp_path / str(seed), made, seed=seed)[1]
        for seed, made in ((1, documents()), (2, theirs(documents())))
    ]
    config = EvaluateConfig(compare_with=[str(run.path) for run in runs], **SETTINGS)
    asked = questions_for_both(own[0], config)
    assert [each.halves.num_queries for each in asked] == [60, 40]
