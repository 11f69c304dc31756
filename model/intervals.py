"""Intervals for any measure that is a function of sums over independent groups of documents.

Tokens of one document resemble each other, so the document, not the token, is the unit: the
documents are dealt into groups, and the spread of the measure when each group is left out in
turn gives its standard error (delete-a-group jackknife).

Letters: G groups, X = 1 + G: the whole sample, then what is left without each group.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from scipy.special import stdtrit
from torch import Tensor


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds around it, three float64 tensors of one shape."""

    value: Tensor
    low: Tensor
    high: Tensor

    def at(self, index: int) -> "Interval":
        """The interval of one entry along the first dimension."""
        return Interval(self.value[index], self.low[index], self.high[index])

    def within(self, least: float, most: float) -> "Interval":
        """The interval cut to a measure's own range, never so far that it loses the value."""
        low = self.low.clamp(min=least).minimum(self.value)
        return Interval(self.value, low, self.high.clamp(max=most).maximum(self.value))


def jackknife_interval(
    measure: Callable[..., Tensor], parts: Sequence[Tensor], *, confidence: float = 0.95
) -> Interval:
    """A measure of the whole sample with its interval; arguments as for `jackknife`.

    Student's t with G - 1 degrees of freedom.
    """
    value, variance = jackknife(measure, parts)
    return interval_around(value, [(variance, len(parts[0]) - 1)], confidence=confidence)


def jackknife(measure: Callable[..., Tensor], parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """A measure of the whole sample and the variance of that estimate.

    Args:
        measure: takes one tensor for each of `parts`, summed over groups, and gives an estimate
            of any shape.
        parts: sums over the tokens of each group, groups first: shapes [G, ...], G at least 2.

    Source: Efron and Tibshirani 1993, chapter 11; groups as in Kott 2001.
    Cost: G + 1 evaluations of the measure on sums, however many tokens there are.
    """
    totals = [part.sum(0) for part in parts]
    left_out = torch.stack(
        [
            measure(*(total - part[group] for total, part in zip(totals, parts, strict=True)))
            for group in range(len(parts[0]))
        ]
    ).double()
    return measure(*totals).double(), _variance(left_out)


def left_out_interval(estimates_X: Tensor, *, confidence: float = 0.95) -> Interval:
    """The jackknife's interval where a measure can tell all estimates at once.

    Args:
        estimates_X: of the whole sample, then without each of its G groups: [1 + G, ...].
        confidence: as for `jackknife_interval`.
    """
    value, left_out_G = estimates_X[0].double(), estimates_X[1:].double()
    variances = [(_variance(left_out_G), len(left_out_G) - 1)]
    return interval_around(value, variances, confidence=confidence)


def _variance(left_out_G: Tensor) -> Tensor:
    num_groups = len(left_out_G)
    assert num_groups > 1, "a spread needs two groups"
    return (left_out_G - left_out_G.mean(0)).square().sum(0) * (num_groups - 1) / num_groups


def whole_and_without_each(parts_GX: Tensor) -> Tensor:
    """The sum over all groups, then that without each: [G, ...] becomes [1 + G, ...]."""
    total_X = parts_GX.sum(0, keepdim=True)
    return torch.cat([total_X, total_X - parts_GX])


def interval_around(
    value: Tensor, variances: Sequence[tuple[Tensor, int]], *, confidence: float = 0.95
) -> Interval:
    """The interval of an estimate whose variance is a sum of independently estimated parts.

    Args:
        value: the estimate, float64.
        variances: each part of its variance, with the degrees of freedom it was estimated with.
        confidence: coverage wanted, Student's t with the degrees of freedom of the sum.

    Source: Welch 1947 and Satterthwaite 1946 for the degrees of freedom.
    """
    total = torch.stack([variance for variance, _ in variances]).sum(0)
    shares = torch.stack([variance.square() / degrees for variance, degrees in variances]).sum(0)
    degrees = torch.where(shares > 0, total.square() / shares, 1.0)
    quantile = stdtrit(degrees.cpu().numpy(), (1 + confidence) / 2)
    half_width = torch.as_tensor(quantile, device=total.device) * total.sqrt()
    return Interval(value, value - half_width, value + half_width)


def sum_by_group(values_N: Tensor, group_N: Tensor, num_groups: int) -> Tensor:
    """Sums over the tokens of each group: [N, ...] becomes [G, ...], float64, where values are.

    Added up on the CPU, always in the same order; other devices add in any order.
    """
    sums_G = torch.zeros(num_groups, *values_N.shape[1:], dtype=torch.float64)
    sums_G.index_add_(0, group_N.cpu(), values_N.double().cpu())
    return sums_G.to(values_N.device)
