"""Intervals of quotients of sums over documents and seeds, such as a share of right answers.

Letters: K layers, E examples, G groups, S seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.intervals import Interval, interval_around, jackknife, sum_by_group
from tasks.probe.table import Row, row_of_interval

MAX_GROUPS = 20


@dataclass(frozen=True)
class Ratio:
    """What one seed counted, in every layer: the sum of one over the sum of the other.

    Attributes:
        above_EK: numbers of each example.
        below_EK: the same; or [E, 1] where it is the same in all layers.
        document_E: int64, the document of each example.
    """

    above_EK: Tensor
    below_EK: Tensor
    document_E: Tensor

    @property
    def value_K(self) -> Tensor:
        """The quotient in every layer, float64."""
        quotient_K: Tensor = self.above_EK.double().sum(0) / self.below_EK.double().sum(0)
        return quotient_K


def mean_of(values_EK: Tensor, document_E: Tensor) -> Ratio:
    """The mean over examples."""
    return Ratio(values_EK, torch.ones(len(values_EK), 1), document_E)


def ratio_interval(ratios: Sequence[Ratio]) -> Interval:
    """The quotient in every layer, over one or several seeds.

    The interval is of a delete-a-group jackknife over documents; for several seeds the variance
    between them is added. It partly counts the draw of examples twice: the interval is wide
    rather than narrow. A single document has no spread: then the bounds are NaN.
    """
    documents, owner_E = torch.unique(
        torch.cat([one.document_E for one in ratios]), return_inverse=True
    )
    if len(documents) < 2:
        value_K = torch.stack([one.value_K for one in ratios]).mean(0)
        return Interval(value_K, *2 * [torch.full_like(value_K, torch.nan)])
    num_groups = min(MAX_GROUPS, len(documents))
    group_E = owner_E % num_groups
    parts = [
        sum_by_group(torch.cat(counted), group_E, num_groups)
        for counted in zip(*((one.above_EK, one.below_EK) for one in ratios), strict=True)
    ]
    value, over_documents = jackknife(torch.div, parts)
    variances = [(over_documents, num_groups - 1)]
    if len(ratios) > 1:
        value_SK = torch.stack([one.value_K for one in ratios])
        variances.append((value_SK.var(0) / len(ratios), len(ratios) - 1))
    return interval_around(value, variances)


def ratio_rows(
    measure: str,
    ratios: Mapping[int, Ratio],
    *,
    split: str,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> list[Row]:
    """Rows of every layer: each seed's, then that over all seeds.

    Args:
        measure: the rows' name.
        ratios: by seed.
        split: that they were counted on.
        bounds: least and most that a value can be.
    """
    by_seed: list[tuple[int | None, list[Ratio]]] = [(seed, [one]) for seed, one in ratios.items()]
    rows = []
    for seed, chosen in [*by_seed, (None, list(ratios.values()))]:
        interval = ratio_interval(chosen).within(*bounds)
        rows += [
            row_of_interval(
                interval.at(layer), measure=measure, layer=layer, split=split, seed=seed
            )
            for layer in range(len(interval.value))
        ]
    return rows
