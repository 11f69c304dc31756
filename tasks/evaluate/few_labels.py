"""Classification from a handful of labels a class: what learning without labels is worth.

Shape letters: N documents, D dimensions, Q test documents.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from model.retrieval import Floats
from tasks.evaluate.vectors import Vectors

Labels = NDArray[np.str_]

NUM_DRAWS = 5

# A held-out fifth of four documents cannot choose a penalty, so there is one for all: weak enough
# that the classes' own directions decide, on vectors that are about one unit apart.
_INVERSE_PENALTY = 10.0


def usable_label_counts(
    labels_N: Labels, labels_per_class: Sequence[int]
) -> tuple[list[int], list[int]]:
    """The counts that at least one class has so many labels for, and those that none has."""
    largest = int(np.unique(labels_N, return_counts=True)[1].max())
    usable = [count for count in labels_per_class if count <= largest]
    return usable, [count for count in labels_per_class if count > largest]


def correct_frac(
    train_ND: Vectors,
    labels_N: Labels,
    test_QD: Vectors,
    truth_Q: Labels,
    *,
    num_per_class: int,
    seed: int,
) -> Floats:
    """How often each test document's label is predicted from a few training documents a class.

    Each of several seeded draws takes `num_per_class` documents of each class, all where a class
    has fewer; a larger number adds to the same draw. On them a logistic regression with a fixed
    penalty is fitted. Dense vectors are moved to the drawn documents' mean and scaled by one number
    so that their distance from it is 1 in the root mean square: a system whose vectors all point
    one way is not punished for it, and no dimension is scaled by a spread that four documents
    cannot tell. The classes count alike, however many documents they have.

    Returns:
        float64 [Q], the fraction of draws in which the prediction is right.

    Cost: `NUM_DRAWS` fits, without any search.
    """
    draws = (_draw(labels_N, num_per_class, (seed, draw)) for draw in range(NUM_DRAWS))
    correct = [_predict(train_ND[drawn], labels_N[drawn], test_QD) == truth_Q for drawn in draws]
    fractions_Q: Floats = np.mean(correct, axis=0, dtype=np.float64)
    return fractions_Q


def _draw(labels_N: Labels, num_per_class: int, seed: tuple[int, int]) -> NDArray[np.int64]:
    order_N = np.random.default_rng(seed).permutation(len(labels_N))
    of_class = [
        order_N[labels_N[order_N] == label][:num_per_class] for label in np.unique(labels_N)
    ]
    return np.sort(np.concatenate(of_class))


def _predict(train_ND: Vectors, labels_N: Labels, test_QD: Vectors) -> Labels:
    if not sparse.issparse(train_ND):
        mean_D = train_ND.mean(axis=0)
        scale = float(np.sqrt(np.square(train_ND - mean_D).sum(axis=1).mean())) or 1.0
        train_ND, test_QD = (train_ND - mean_D) / scale, (test_QD - mean_D) / scale
    model = LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", tol=1e-3, max_iter=2000)
    predicted_Q: Labels = model.fit(train_ND, labels_N).predict(test_QD)
    return predicted_Q
