"""What alignment costs, on documents that the rotation was not fitted on.

Shape letters: Q measured documents, D width, K neighbours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.procrustes import Block, Matrix, Vectors, rotated
from model.retrieval import Floats, MeanEstimate, bootstrap_mean, shared_frac
from tasks.evaluate.classification import predict_labels
from tasks.labels import label_of, why_not_learnable
from tasks.release.align.config import AlignConfig
from tasks.release.common_rows import CommonRows, sample_of
from tasks.vector_index import Rows

Estimates = dict[str, MeanEstimate]


@dataclass(frozen=True)
class Costs:
    """Means over documents, by name, each with its 95 % interval; and what was not measured.

    Attributes:
        estimates: ``cosine``, of the aligned vector with the old one of the same document, and
            ``cosine_before``; ``cosine_dim_64`` of vectors cut to 64 numbers; ``overlap``, of the
            old vector's neighbours among old vectors the part that is found with the aligned one
            too, and ``overlap_before``; ``accuracy_old_on_aligned`` of a classifier trained on old
            vectors and given aligned ones, ``accuracy_new`` of one trained on new vectors,
            ``accuracy_old`` of old ones all through, ``accuracy_old_on_new`` without alignment.
        why_no_labels: in words; None where classifiers were tried.
    """

    estimates: Estimates
    why_no_labels: str | None


@dataclass(frozen=True)
class Aligned:
    """Two datasets, the rotation between them, and the documents to measure with.

    Attributes:
        rows: common documents; the first dataset is the new one.
        rotation: of the new one's blocks.
        measured: common numbers of the documents to measure on.
    """

    rows: CommonRows
    rotation: Mapping[Block, Matrix]
    measured: Rows


def costs_of(aligned: Aligned, label_column: str | None, config: AlignConfig) -> Costs:
    """Measure them.

    Args:
        aligned: what there is.
        label_column: of the new dataset; None if there is none.
        config: sizes of samples.

    Cost: three exact searches of at most `config.max_queries`, each a pass over all old vectors.
    """
    asked_Q = sample_of(aligned.measured, config.max_queries, config.seed)
    new_QD = aligned.rows.first.vectors_of(asked_Q)
    old_QD = aligned.rows.second.vectors_of(asked_Q)
    turned_QD = rotated(new_QD, aligned.rotation)
    values = dict(_cosines(new_QD, turned_QD, old_QD, aligned.rotation))
    values |= _overlaps(aligned, asked_Q, new_QD, turned_QD, config.num_neighbours)
    labels = _labels(aligned.rows, label_column)
    why = "no column was named as label (ingest.label_column)"
    if label_column and labels is not None:
        train_T, test_Q = _labelled(aligned, labels, config)
        why = why_not_learnable([str(labels[each]) for each in train_T], label_column) or ""
        if not why and not len(test_Q):
            why = f"no document that was measured on has a value in {label_column}"
        if not why:
            values |= _accuracies(aligned, labels, train_T, test_Q, config.seed)
    resampling = {"num_resamples": config.num_resamples, "seed": config.seed}
    estimates = {name: bootstrap_mean(each_Q, **resampling) for name, each_Q in values.items()}
    return Costs(estimates, why or None)


def _cosines(
    new_QD: Vectors, turned_QD: Vectors, old_QD: Vectors, rotation: Mapping[Block, Matrix]
) -> Iterator[tuple[str, Floats]]:
    yield "cosine", _cosine(turned_QD, old_QD)
    yield "cosine_before", _cosine(new_QD, old_QD)
    for _, dim in sorted(rotation)[:-1]:
        yield f"cosine_dim_{dim}", _cosine(turned_QD[:, :dim], old_QD[:, :dim])


def _cosine(first_QD: Vectors, second_QD: Vectors) -> Floats:
    lengths_Q = np.linalg.norm(first_QD, axis=1) * np.linalg.norm(second_QD, axis=1)
    products_Q = np.einsum("qd,qd->q", first_QD, second_QD)
    cosines_Q: Floats = products_Q.astype(np.float64) / np.where(lengths_Q > 0, lengths_Q, 1)
    return cosines_Q


def _overlaps(
    aligned: Aligned, asked_Q: Rows, new_QD: Vectors, turned_QD: Vectors, k: int
) -> dict[str, Floats]:
    """Whether the aligned vector finds among old vectors what the old one found."""
    old = aligned.rows.second
    wanted_QK = old.neighbours(asked_Q, k)
    return {
        "overlap": shared_frac(wanted_QK, old.nearest(turned_QD, asked_Q, k)),
        "overlap_before": shared_frac(wanted_QK, old.nearest(new_QD, asked_Q, k)),
    }


def _labels(rows: CommonRows, column: str | None) -> NDArray[np.object_] | None:
    dataset = rows.first.dataset
    if column is None or column not in dataset.schema.names:
        return None
    values = dataset.columns([column]).take(rows.first.rows_C)[column].to_pylist()
    return np.array([label_of(value) for value in values], dtype=object)


def _labelled(
    aligned: Aligned, labels: NDArray[np.object_], config: AlignConfig
) -> tuple[Rows, Rows]:
    """Common numbers of labelled training documents, and of those to predict labels of."""
    has_label = np.array([label is not None for label in labels], dtype=bool)
    is_train = (aligned.rows.splits == "train") & has_label
    is_train[aligned.measured] = False
    train_T = sample_of(np.flatnonzero(is_train), config.max_labelled_documents, config.seed)
    measured = aligned.measured[has_label[aligned.measured]]
    return train_T, sample_of(measured, config.max_queries, config.seed)


def _accuracies(
    aligned: Aligned, labels: NDArray[np.object_], train_T: Rows, test_Q: Rows, seed: int
) -> dict[str, Floats]:
    new, old = aligned.rows.first, aligned.rows.second
    known_T, right_Q = (labels[numbers].astype(np.str_) for numbers in (train_T, test_Q))
    new_QD, old_TD = new.vectors_of(test_Q), old.vectors_of(train_T)
    tried = {
        "accuracy_old_on_aligned": (old_TD, rotated(new_QD, aligned.rotation)),
        "accuracy_new": (new.vectors_of(train_T), new_QD),
        "accuracy_old": (old_TD, old.vectors_of(test_Q)),
        "accuracy_old_on_new": (old_TD, new_QD),
    }
    return {
        name: (predict_labels(train_TD, known_T, test_QD, seed=seed) == right_Q).astype(np.float64)
        for name, (train_TD, test_QD) in tried.items()
    }
