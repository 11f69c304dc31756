"""How unit vectors of documents lie in space: halves close together, documents far apart.

Every estimate has a 95 % interval from the spread of the measure when groups of documents are left
out in turn (`model.intervals`): both halves of a document stay in one group.

Shape letters: N documents, M = 2 N vectors, D dimensions, G groups, E = D + 1.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.geometry import effective_rank, moments
from model.intervals import Interval, interval_around, jackknife_interval, sum_by_group
from model.retrieval import Floats, MeanEstimate

_MAX_GROUPS = 20  # each asks for the eigenvalues of a covariance
_ROWS_AT_ONCE = 512
_NO_VARIANCE_FRAC = 1e-12  # of the squared length: equal vectors differ from their mean by rounding


@dataclass(frozen=True)
class Spread:
    """Where a system's vectors lie.

    Attributes:
        alignment: mean squared distance of the two halves of a document, 0 to 4; low is good.
        uniformity: log of the mean of exp(-2 squared distance) over halves of different documents,
            -8 to 0; low is good, about -4 when directions are spread evenly in many dimensions.
        effective_rank: how many directions the vectors spread over, at most D and 2 N - 1; 0 where
            they do not vary at all.
    """

    alignment: MeanEstimate
    uniformity: MeanEstimate
    effective_rank: MeanEstimate


def spread(first_ND: Floats, second_ND: Floats) -> Spread:
    """Alignment, uniformity and effective rank of the vectors of documents' halves.

    Args:
        first_ND, second_ND: vectors of the first and second half of each document, of unit length
            or zero.

    Raises:
        ValueError: there are fewer than three documents, so no interval.

    Source: Wang and Isola 2020, section 4.1, with alpha = 2 and t = 2; Roy and Vetterli 2007, of
    the covariance.
    Cost: O(N^2 D + G D^3) time; memory of 512 x 2 N similarities and of G covariances.
    """
    num_documents = len(first_ND)
    if num_documents < 3 or len(second_ND) != num_documents:
        raise ValueError(f"{num_documents} and {len(second_ND)} halves have no spread to estimate")
    num_groups = min(_MAX_GROUPS, num_documents)
    group_N = torch.arange(num_documents) % num_groups
    vectors_MD = torch.from_numpy(np.concatenate([first_ND, second_ND])).double()
    group_M = torch.cat([group_N, group_N])
    return Spread(
        alignment=_estimate(_alignment(vectors_MD, group_N, num_groups), num_documents),
        uniformity=_estimate(_uniformity(vectors_MD, group_M, num_groups), num_documents),
        effective_rank=_estimate(_rank(vectors_MD, group_M, num_groups), num_documents),
    )


def _alignment(vectors_MD: Tensor, group_N: Tensor, num_groups: int) -> Interval:
    first_ND, second_ND = vectors_MD.chunk(2)
    squared_N = (first_ND - second_ND).square().sum(1)
    sums = sum_by_group(squared_N, group_N, num_groups)
    counts = sum_by_group(torch.ones_like(squared_N), group_N, num_groups)
    return jackknife_interval(lambda total, count: total / count, [sums, counts]).within(0, 4)


def _uniformity(vectors_MD: Tensor, group_M: Tensor, num_groups: int) -> Interval:
    """A mean over pairs: leaving out a group leaves out all pairs that it has a part in."""
    sums_GG = _kernel_sums(vectors_MD, group_M, num_groups)
    vectors_G = torch.bincount(group_M, minlength=num_groups).double()
    pairs_GG = vectors_G.outer(vectors_G) - (2 * vectors_G).diag()  # a document's own 4 halves less
    value = (sums_GG.sum() / pairs_GG.sum()).log()
    left_out_G = (_without_each(sums_GG) / _without_each(pairs_GG)).log()
    spread_G = (left_out_G - left_out_G.mean()).square().sum()
    variance = spread_G * (num_groups - 1) / num_groups
    return interval_around(value, [(variance, num_groups - 1)]).within(-math.inf, 0)


def _kernel_sums(vectors_MD: Tensor, group_M: Tensor, num_groups: int) -> Tensor:
    """exp(-2 squared distance), summed over pairs of vectors of different documents, by groups."""
    num_vectors = len(vectors_MD)
    squared_M = vectors_MD.square().sum(1)
    document_M = torch.arange(num_vectors) % (num_vectors // 2)
    members_MG = torch.nn.functional.one_hot(group_M, num_groups).double()
    sums_GG = torch.zeros(num_groups, num_groups, dtype=torch.float64)
    for start in range(0, num_vectors, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        distance = squared_M[rows, None] + squared_M - 2 * vectors_MD[rows] @ vectors_MD.T
        kernel = (-2 * distance).exp()
        kernel[document_M[rows, None] == document_M] = 0
        sums_GG += members_MG[rows].T @ kernel @ members_MG
    return sums_GG


def _without_each(table_GG: Tensor) -> Tensor:
    """The sum of a symmetric table without the row and the column of each group."""
    return table_GG.sum() - 2 * table_GG.sum(1) + table_GG.diagonal()


def _rank(vectors_MD: Tensor, group_M: Tensor, num_groups: int) -> Interval:
    if vectors_MD.var(0).sum() <= _NO_VARIANCE_FRAC * vectors_MD.square().sum(1).mean():
        zero = torch.zeros((), dtype=torch.float64)
        return Interval(zero, zero, zero)
    moments_GEE = moments(vectors_MD, group_M, num_groups=num_groups)
    found = jackknife_interval(_rank_or_zero, [moments_GEE])
    return found.within(0, min(vectors_MD.shape[1], len(vectors_MD) - 1))


def _rank_or_zero(moments_EE: Tensor) -> Tensor:
    return effective_rank(moments_EE).nan_to_num(0.0)


def _estimate(interval: Interval, num_documents: int) -> MeanEstimate:
    return MeanEstimate(
        float(interval.value), float(interval.low), float(interval.high), num_documents
    )
