"""Half-document retrieval, its harder variant, and the geometry that comes with it."""

from pathlib import Path
from typing import Any

import pytest

from tasks.corpus import Corpus
from tasks.evaluate.baselines import Tfidf
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.half_document import (
    half_document_results,
    half_documents,
    hard_half_documents,
)
from tasks.evaluate.words import words_of
from tests.tasks.evaluate.folders import write_corpus
from tests.tasks.evaluate.systems import Blind, Letters, Shouting, SparseLetters

CONFIG = EvaluateConfig(min_words=2, hard_document_frac=0.5)


def named_documents(num: int = 12) -> list[dict[str, Any]]:
    """Each tells two names of its own in both halves; all else is the same everywhere."""
    documents = []
    for number in range(num):
        names = f"Name{number} and place{number}"
        text = f"The {names} were there. {names} were gone."
        documents.append({"doc_id": f"d{number}", "text": text, "split": "test"})
    training = {"doc_id": "t", "text": "the and were there gone", "split": "train"}
    return [*documents, training, {"doc_id": "short", "text": "too short", "split": "test"}]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(write_corpus(tmp_path / "ingest", named_documents()))


def means(outcomes: Any) -> dict[tuple[str, str, str], float]:
    return {(o.system, o.task, o.measure): o.values_Q.mean() for o in outcomes}


def test_the_harder_variant_hides_the_names_and_only_them(corpus: Corpus) -> None:
    plain = half_documents(corpus, CONFIG)
    assert plain.doc_ids == [f"d{number}" for number in range(12)]
    assert (plain.num_too_short, plain.num_masked_words) == (1, 0)
    hard = hard_half_documents(corpus, plain, CONFIG)
    assert hard.num_masked_words == 24
    assert hard.doc_ids == plain.doc_ids
    for first, second in zip(hard.first_halves, hard.second_halves, strict=True):
        assert set(words_of(first)) & set(words_of(second)) == {"and", "were"}


def test_a_matcher_of_words_finds_names_and_is_lost_without_them(corpus: Corpus) -> None:
    plain = half_documents(corpus, CONFIG)
    hard = hard_half_documents(corpus, plain, CONFIG)
    system = Tfidf([*plain.first_halves, *plain.second_halves])
    found = means(
        [
            *half_document_results(system, plain).outcomes,
            *half_document_results(system, hard).outcomes,
        ]
    )
    assert found["tfidf", "half_document", "recall_at_1"] == 1
    assert found["tfidf", "hard_half_document", "recall_at_1"] < 0.5
    measures = {measure for _, task, measure in found if task == "hard_half_document"}
    assert measures == {"recall_at_1", "recall_at_10", "mrr"}


def test_no_rare_word_no_mask(corpus: Corpus) -> None:
    config = EvaluateConfig(min_words=2, hard_document_frac=0)
    texts = [f"a{number} here. b{number} there" for number in range(4)]
    documents = [
        {"doc_id": str(number), "text": text, "split": "test"} for number, text in enumerate(texts)
    ]
    made = Corpus(write_corpus(corpus.folder / "other", documents))
    plain = half_documents(made, config)
    hard = hard_half_documents(made, plain, config)
    assert (hard.first_halves, hard.second_halves) == (plain.first_halves, plain.second_halves)


def test_geometry_is_told_of_dense_vectors_of_whole_halves(corpus: Corpus) -> None:
    plain = half_documents(corpus, CONFIG)
    found = half_document_results(Letters(cut_dims=(4,)), plain)
    assert [(score.system, score.measure) for score in found.geometry] == [
        (system, measure)
        for system in ("letters", "letters_dim_4")
        for measure in ("alignment", "uniformity", "effective_rank")
    ]
    assert found.geometry[0].metric == "letters_geometry_alignment"
    assert len(found.outcomes) == 6
    assert half_document_results(SparseLetters(), plain).geometry == []
    hard = hard_half_documents(corpus, plain, CONFIG)
    assert half_document_results(Letters(), hard).geometry == []


def test_who_asks_otherwise_than_it_is_found_is_asked_its_way(tmp_path: Path) -> None:
    texts = ["AAAA BBBB AAAA. aa bb", "CCCC DDDD EEEE. cc dd ee", "FFFF GG HH. ff gg hh"]
    documents = [{"doc_id": text, "text": text, "split": "test"} for text in texts]
    halves = half_documents(Corpus(write_corpus(tmp_path / "c", documents)), CONFIG)
    found = means(
        [
            *half_document_results(Shouting(), halves).outcomes,
            *half_document_results(Letters(), halves).outcomes,
            *half_document_results(Blind(), halves).outcomes,
        ]
    )
    assert found["shouting", "half_document", "recall_at_1"] == 1
    assert found["letters", "half_document", "recall_at_1"] == 0
    assert found["blind", "half_document", "recall_at_1"] == 0
