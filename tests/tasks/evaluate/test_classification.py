"""Classification: what can be read off a vector, and when there is nothing to read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from tasks.corpus import Corpus
from tasks.evaluate.classification import (
    Labelled,
    Skipped,
    classification_outcomes,
    labelled_documents,
    predict_labels,
)
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.vectors import Symmetric
from tests.tasks.evaluate.folders import write_corpus
from tests.tasks.evaluate.systems import Blind, Letters, Shouting, SparseLetters

CONFIG = EvaluateConfig()


def blobs(num: int, seed: int, *, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Points around three centres, and which centre."""
    rng = np.random.default_rng(seed)
    labels = np.array(["a", "b", "c"])[rng.integers(0, 3, num)]
    centres = {"a": (0, 0), "b": (apart, 0), "c": (0, apart)}
    points = np.array([centres[label] for label in labels]) + rng.normal(size=(num, 2))
    return points.astype(np.float32), labels


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_what_is_apart_is_told_apart(form: Any) -> None:
    train, labels = blobs(120, 0, apart=8)
    test, truth = blobs(60, 1, apart=8)
    assert (predict_labels(form(train), labels, form(test), seed=0) == truth).mean() > 0.95


def test_labels_that_follow_nothing_are_not_found() -> None:
    train, _ = blobs(300, 0, apart=8)
    test, _ = blobs(300, 1, apart=8)
    rng = np.random.default_rng(2)
    labels, truth = (np.array(["x", "y"])[rng.integers(0, 2, 300)] for _ in range(2))
    assert 0.38 < (predict_labels(train, labels, test, seed=0) == truth).mean() < 0.62


def test_scale_and_offset_of_dense_vectors_do_not_matter() -> None:
    train, labels = blobs(120, 0, apart=3)
    test, _ = blobs(60, 1, apart=3)
    plain = predict_labels(train, labels, test, seed=0)
    moved = predict_labels(train * 1e-3 + 5, labels, test * 1e-3 + 5, seed=0)
    assert (plain == moved).mean() > 0.97


def test_two_documents_are_enough_to_fit() -> None:
    points, labels = np.array([[0.0], [9.0]]), np.array(["a", "b"])
    assert predict_labels(points, labels, points, seed=0).tolist() == ["a", "b"]


def corpus(tmp_path: Path, labels: list[Any], *, label_column: str | None = "kind") -> Corpus:
    """Every third document is for testing."""
    documents = [
        {
            "doc_id": str(number),
            "text": f"text {number}",
            "split": "train" if number % 3 else "test",
            "kind": label,
        }
        for number, label in enumerate(labels)
    ]
    return Corpus(write_corpus(tmp_path / "ingest", documents, label_column=label_column))


def test_documents_without_a_label_are_left_out(tmp_path: Path) -> None:
    labelled = labelled_documents(corpus(tmp_path, [1, 2, None, 1, 2, 2, None, 1] * 6), CONFIG)
    assert isinstance(labelled, Labelled)
    assert set(labelled.train_labels) | set(labelled.test_labels) == {"1", "2"}
    assert len(labelled.train_texts) + len(labelled.test_texts) == 36
    counts = [(labelled.train_labels == label).sum() for label in ("1", "2")]
    most = "12"[int(np.argmax(counts))]
    assert labelled.majority_frac == (labelled.test_labels == most).mean()


def test_the_sample_is_capped(tmp_path: Path) -> None:
    config = EvaluateConfig(max_labelled_documents=12, max_queries=3)
    labelled = labelled_documents(corpus(tmp_path, ["u", "v"] * 40), config)
    assert isinstance(labelled, Labelled)
    assert (len(labelled.train_texts), len(labelled.test_texts)) == (12, 3)


@pytest.mark.parametrize(
    ("labels", "column", "reason"),
    [
        (["a", "b"] * 20, None, "no column was named"),
        (["a"] * 30, "kind", "1 distinct values"),
        ([f"name {n}" for n in range(60)], "kind", "too many to learn"),
        ([None, "a", "b"] * 20, "kind", "no test document"),
    ],
)
def test_skipped_with_a_reason(
    tmp_path: Path, labels: list[Any], column: str | None, reason: str
) -> None:
    found = labelled_documents(corpus(tmp_path, labels, label_column=column), CONFIG)
    assert isinstance(found, Skipped)
    assert reason in found.reason


class ByLength(Symmetric):
    name = "by_length"
    cut_dims = ()

    def vectors(self, texts: list[str]) -> np.ndarray:
        return np.array([[len(text), 1] for text in texts], np.float32)


def test_a_label_never_seen_in_training_counts_as_wrong() -> None:
    labelled = Labelled(
        "size",
        ["s", "l" * 50] * 10,
        np.array(["small", "large"] * 10),
        ["s", "l" * 50, "l" * 50],
        np.array(["small", "large", "unseen"]),
    )
    [outcome] = classification_outcomes(ByLength(), labelled, seed=0)
    assert (outcome.system, outcome.task, outcome.measure) == (
        "by_length",
        "classification",
        "accuracy",
    )
    assert outcome.values_Q.tolist() == [1, 1, 0]


def letter_documents(*, test: list[str]) -> Labelled:
    """Of the class of a letter when it is mostly that letter."""
    texts = [f"{letter * 3}{other}" for letter in "abc" for other in "abcdefgh"]
    labels = np.array([text[0] for text in texts])
    return Labelled("letter", texts, labels, test, np.array([text[0].lower() for text in test]))


def test_every_way_of_classifying_under_its_name_for_every_width() -> None:
    labelled = letter_documents(test=["aab", "bbd", "cch", "aaa"])
    outcomes = classification_outcomes(
        Letters(cut_dims=(4,)), labelled, seed=0, labels_per_class=(2, 8, 9), num_neighbours=3
    )
    found = [(o.system, o.measure, float(o.values_Q.mean())) for o in outcomes]
    measures = ["accuracy", "accuracy_at_2_labels", "accuracy_at_8_labels", "knn_accuracy"]
    assert [row[:2] for row in found] == [
        (system, measure) for system in ("letters", "letters_dim_4") for measure in measures
    ]
    assert [value for _, measure, value in found if measure == "knn_accuracy"] == [1, 1]
    assert {o.measure for o in classification_outcomes(SparseLetters(), labelled, seed=0)} == {
        "accuracy"
    }


def test_neighbours_are_asked_for_as_the_system_asks() -> None:
    labelled = letter_documents(test=["AAB", "BBD", "CCH"])
    [_, vote] = classification_outcomes(Shouting(), labelled, seed=0, num_neighbours=3)
    assert vote.values_Q.tolist() == [1, 1, 1]
    [_, vote] = classification_outcomes(Blind(), labelled, seed=0, num_neighbours=3)
    assert vote.values_Q.tolist() == [1, 0, 0]  # the first documents are of the class a
