"""Control tasks: labels without meaning, to see how much of a score is the probe's own doing.

Each word type gets one label for good, drawn at random. A probe can only learn it by heart, type
by type; what it scores above that on the real labels is read from the features.

Letters: N words, T word types, C classes.
"""

import numpy as np
import torch
from torch import Tensor


def control_labels(labels_N: Tensor, *, num_types: int, num_classes: int, seed: int) -> Tensor:
    """One random label for each word type, from the empirical distribution of the real labels.

    Words then get ``labels_T[types_N]``, with one and the same `labels_T` in all splits.
    Words occur unevenly, so the shares of the classes among words come out near to the real ones
    but not equal.

    Args:
        labels_N: int64 in [0, num_classes), the real labels of the fitting part's words.
        num_types: T, the types of all splits; those beyond the fitting part get labels too.
        num_classes: C.
        seed: the label of a type depends on the seed, the type's number and the distribution.

    Returns:
        labels_T: int64, on the CPU.

    Source: Hewitt and Liang 2019, section 2.1 (arXiv 1909.03368).
    """
    assert len(labels_N) > 0, "there are labels to draw from"
    counts_C = np.bincount(labels_N.cpu().numpy(), minlength=num_classes)
    edges_C = counts_C.cumsum() / counts_C.sum()
    drawn_T = np.random.default_rng(seed).random(num_types)
    return torch.from_numpy(edges_C.searchsorted(drawn_T, side="right").astype(np.int64))


def selectivity(num_right: Tensor, num_control_right: Tensor, num_words: Tensor) -> Tensor:
    """Accuracy on the real labels minus accuracy on the control labels of the same words.

    A function of sums, so that intervals follow (`model.intervals.jackknife_interval`).
    Source: Hewitt and Liang 2019, section 2.3.
    """
    return (num_right - num_control_right) / num_words
