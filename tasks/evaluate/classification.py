"""Classification by the user's label: how much of it can be read off a document's vector?

Shape letters: N documents, D dimensions, Q test documents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from model.retrieval import Floats
from tasks.corpus import Corpus, Document
from tasks.evaluate.config import EvaluateConfig
from tasks.evaluate.few_labels import Labels, correct_frac, usable_label_counts
from tasks.evaluate.neighbours import vote_of_nearest
from tasks.evaluate.sample import sample_documents
from tasks.evaluate.scores import CLASSIFICATION, Outcome
from tasks.evaluate.vectors import (
    NamedPair,
    Symmetric,
    System,
    Vectors,
    ranked_pairs_of,
    vectors_of,
)
from tasks.labels import label_of, why_not_learnable

_INVERSE_PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
_HELD_OUT_FRAC = 0.2


@dataclass(frozen=True)
class Labelled:
    """Texts with the value of their label column, as text."""

    column: str
    train_texts: list[str]
    train_labels: Labels
    test_texts: list[str]
    test_labels: Labels

    @property
    def majority_frac(self) -> float:
        """Accuracy of always answering the most frequent training label."""
        labels, counts = np.unique(self.train_labels, return_counts=True)
        return float(np.mean(self.test_labels == labels[counts.argmax()]))


@dataclass(frozen=True)
class Skipped:
    """Why there is no classification."""

    reason: str


def labelled_documents(corpus: Corpus, config: EvaluateConfig) -> Labelled | Skipped:
    """Seeded samples of the labelled training and test documents, or why there are none."""
    column = corpus.about.label_column
    if column is None:
        return Skipped("no column was named as label (ingest.label_column)")
    train = _sample(corpus, "train", column, config.max_labelled_documents, config.seed)
    test = _sample(corpus, "test", column, config.max_queries, config.seed)
    if not test:
        return Skipped(f"no test document has a value in the column {column}")
    train_labels, test_labels = (
        [str(label_of(document.metadata[column])) for document in part] for part in (train, test)
    )
    reason = why_not_learnable(train_labels, column)
    if reason is not None:
        return Skipped(reason)
    return Labelled(
        column,
        [document.text for document in train],
        np.array(train_labels),
        [document.text for document in test],
        np.array(test_labels),
    )


def classification_outcomes(
    system: System,
    labelled: Labelled,
    *,
    seed: int,
    labels_per_class: Sequence[int] = (),
    num_neighbours: int | None = None,
) -> Iterator[Outcome]:
    """How right each test document's label is predicted, from 0 to 1, in several ways.

    Measures: `accuracy` with all training labels; `accuracy_at_4_labels` and so on, a mean over
    draws, for each count that at least one class has so many labels for; `knn_accuracy`.

    Args:
        labels_per_class: how many labels a class, beside all.
        num_neighbours: how many training documents vote; none: there is no vote.
    """
    num_train = len(labelled.train_texts)
    for named in vectors_of(system, labelled.train_texts + labelled.test_texts):
        train, test = named.vectors[:num_train], named.vectors[num_train:]
        predicted_Q = predict_labels(train, labelled.train_labels, test, seed=seed)
        for measure, values_Q in (
            ("accuracy", _correct(labelled, predicted_Q)),
            *_few_label_values(labelled, train, test, labels_per_class, seed),
        ):
            yield Outcome(named.system, CLASSIFICATION, measure, values_Q)
        if num_neighbours is not None and isinstance(system, Symmetric):
            yield _neighbour_outcome(NamedPair(named.system, test, train), labelled, num_neighbours)
    if num_neighbours is not None and not isinstance(system, Symmetric):
        for pair in ranked_pairs_of(system, labelled.test_texts, labelled.train_texts):
            yield _neighbour_outcome(pair, labelled, num_neighbours)


def _few_label_values(
    labelled: Labelled, train: Vectors, test: Vectors, labels_per_class: Sequence[int], seed: int
) -> Iterator[tuple[str, Floats]]:
    usable, _ = usable_label_counts(labelled.train_labels, labels_per_class)
    for count in usable:
        yield (
            f"accuracy_at_{count}_labels",
            correct_frac(
                train,
                labelled.train_labels,
                test,
                labelled.test_labels,
                num_per_class=count,
                seed=seed,
            ),
        )


def _neighbour_outcome(pair: NamedPair, labelled: Labelled, num_neighbours: int) -> Outcome:
    elected_Q = vote_of_nearest(
        pair.queries, pair.candidates, labelled.train_labels, num_neighbours=num_neighbours
    )
    return Outcome(pair.system, CLASSIFICATION, "knn_accuracy", _correct(labelled, elected_Q))


def _correct(labelled: Labelled, predicted_Q: Labels) -> Floats:
    correct_Q: Floats = (predicted_Q == labelled.test_labels).astype(np.float64)
    return correct_Q


def predict_labels(train_ND: Vectors, labels_N: Labels, test_QD: Vectors, *, seed: int) -> Labels:
    """Labels of the test vectors by logistic regression, its penalty chosen on a held-out fifth.

    Dense vectors are standardized by the training ones first. Nothing is learned from the test
    vectors. Labels that only test documents have cannot be predicted and count as wrong.
    """
    if not sparse.issparse(train_ND):
        scaler = StandardScaler().fit(train_ND)
        train_ND, test_QD = scaler.transform(train_ND), scaler.transform(test_QD)
    penalty = _best_penalty(train_ND, labels_N, seed)
    predicted_Q: Labels = _fit(train_ND, labels_N, penalty).predict(test_QD)
    return predicted_Q


def _best_penalty(train_ND: Vectors, labels_N: Labels, seed: int) -> float:
    order_N = np.random.default_rng(seed).permutation(len(labels_N))
    num_held_out = max(1, int(_HELD_OUT_FRAC * len(labels_N)))
    held_out, rest = order_N[:num_held_out], order_N[num_held_out:]
    if len(np.unique(labels_N[rest])) < 2:  # nothing to choose by
        return 1.0
    accuracies = [
        _fit(train_ND[rest], labels_N[rest], penalty).score(train_ND[held_out], labels_N[held_out])
        for penalty in _INVERSE_PENALTIES
    ]
    return _INVERSE_PENALTIES[int(np.argmax(accuracies))]


def _fit(vectors_ND: Vectors, labels_N: Labels, inverse_penalty: float) -> LogisticRegression:
    # The tolerance is loose and the iterations many, so that a fit always ends by converging.
    model = LogisticRegression(C=inverse_penalty, tol=1e-3, max_iter=2000)
    return model.fit(vectors_ND, labels_N)


def _sample(
    corpus: Corpus, split: str, column: str, max_documents: int, seed: int
) -> Sequence[Document]:
    has_label = (
        document for document in corpus.documents(split) if document.metadata[column] is not None
    )
    return sample_documents(has_label, max_documents=max_documents, seed=seed).documents
