"""Sums of the rows of a matrix by bag: by token type, by sentence, by group of documents.

Letters: N rows, D columns, C bags.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Bags:
    """Rows dealt into bags; none is empty.

    Attributes:
        order_N: int64, the rows bag by bag, in a bag as they stood.
        starts_C: int64, where each bag begins in `order_N`.
        count_C: int64, how many rows each holds.
        names_C: int64, what the bags were called, rising.
    """

    order_N: Tensor
    starts_C: Tensor
    count_C: Tensor
    names_C: Tensor

    def sums(self, rows_ND: Tensor, weight_N: Tensor | None = None) -> Tensor:
        """Each bag's rows added up, times their weights: [C, D], in the type of the rows.

        Always in the same order, and no weighted copy of the rows is made.
        """
        weight = None if weight_N is None else weight_N.to(rows_ND.dtype)[self.order_N]
        sums_CD: Tensor = functional.embedding_bag(
            self.order_N, rows_ND, self.starts_C, mode="sum", per_sample_weights=weight
        )
        return sums_CD


def deal(name_N: Tensor) -> Bags:
    """Rows of one name (int64) go into one bag."""
    names_C, bag_N, count_C = torch.unique(name_N, return_inverse=True, return_counts=True)
    return Bags(bag_N.argsort(stable=True), count_C.cumsum(0) - count_C, count_C, names_C)
