"""Spearman's rank correlation when observations count several times, as bootstrap resamples do.

Shape letters: P observations, R resamples, G groups of equal values.
"""

import numpy as np
from numpy.typing import NDArray

from model.retrieval import Floats

Counts = NDArray[np.int64]


def rank_correlation(values_P: Floats, others_P: Floats) -> float:
    """Spearman's rho, equal values sharing their mean rank; 0 where one side is all equal."""
    once_1P = np.ones((1, len(values_P)), np.int64)
    return float(weighted_rank_correlations(values_P, others_P, once_1P)[0])


def weighted_rank_correlations(values_P: Floats, others_P: Floats, counts_RP: Counts) -> Floats:
    """Spearman's rho of samples in which observation p stands ``counts_RP[r, p]`` times.

    What it is of: a list that holds every observation as often as it counts. Equal values share
    the mean of the ranks they take up in that list, and rho is Pearson's correlation of its ranks.
    No such list is made.

    Args:
        values_P, others_P: the two sides, finite numbers.
        counts_RP: int64, not negative.

    Returns:
        rho_R: float64 in [-1, 1]; 0 where a side of the list is all equal, or the list is empty.

    Cost: two sorts whatever R is, then O(R P) time and memory.
    """
    ranks_RP, other_ranks_RP = (
        _ranks_from_the_mean(side_P, counts_RP) for side_P in (values_P, others_P)
    )
    counted_RP = counts_RP * ranks_RP
    squares_R = np.einsum("rp,rp->r", counted_RP, ranks_RP)
    other_squares_R = np.einsum("rp,rp,rp->r", counts_RP, other_ranks_RP, other_ranks_RP)
    norms_R = np.sqrt(squares_R * other_squares_R)
    products_R = np.einsum("rp,rp->r", counted_RP, other_ranks_RP)
    rho_R: Floats = np.zeros(len(counts_RP))
    np.divide(products_R, norms_R, out=rho_R, where=norms_R > 0)
    return rho_R


def _ranks_from_the_mean(values_P: Floats, counts_RP: Counts) -> Floats:
    """Each value's mean rank in each list, less the mean of all ranks, which depends on the list's
    length only. Exact multiples of a half, so that a list of equal values has zeros."""
    _, group_P = np.unique(values_P, return_inverse=True)
    order_P = np.argsort(group_P, kind="stable")
    starts_G = np.searchsorted(group_P[order_P], np.arange(group_P[order_P[-1]] + 1))
    sizes_RG = np.add.reduceat(counts_RP[:, order_P], starts_G, axis=1)
    last_RG = np.cumsum(sizes_RG, axis=1)
    lengths_R1 = last_RG[:, -1:]
    # Ranks first..last of a group have the mean (first + last) / 2, all ranks (1 + length) / 2.
    ranks_RG = (2 * last_RG - sizes_RG - lengths_R1) / 2
    ranks_RP: Floats = ranks_RG[:, group_P]
    return ranks_RP
