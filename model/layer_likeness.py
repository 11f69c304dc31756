"""How alike layers lay the same tokens out, by kernel alignment of every pair of layers at once.

Letters: K layers, N tokens, D hidden width, G groups of documents, X = 1 + G (the whole sample,
then what is left without each group), A, B tokens of two groups.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_FEWEST_TOKENS = 4  # of which the estimate exists
MOST_TOKENS = 1024  # their kernels tell a likeness to about 0.01; the cost grows with the square


def linear_cka(states_KND: Tensor, group_N: Tensor, *, num_groups: int) -> Tensor:
    """Similarity of every pair of layers' states of the same tokens: float64 [X, K, K].

    1 when one layer is the other rotated and scaled, near 0 when they are unrelated. Each of the
    three dependence terms is the unbiased estimate, so few tokens in many dimensions do not make
    unrelated layers look alike; the value can therefore fall slightly below 0. NaN where fewer than
    four tokens are left.

    Args:
        states_KND: states of the tokens, in the order of the layers; `MOST_TOKENS` drawn from the
            sample are enough, since the estimate does not depend on how many there are.
        group_N: int64, the group of each token's document in [0, num_groups).
        num_groups: G.

    Source: Kornblith et al. 2019, section 3; unbiased estimate of Song et al. 2012.
    Cost: O(K N^2 D) in the states' precision, half of it left out because kernels are symmetric;
    memory of K N D states, and of the kernels of two groups at a time.
    """
    hsic_XKK = _unbiased_hsic(_kernels(states_KND, group_N, num_groups))
    own_XK = hsic_XKK.diagonal(dim1=1, dim2=2)
    return hsic_XKK / (own_XK[:, :, None] * own_XK[:, None, :]).sqrt()


@dataclass(frozen=True)
class _Kernels:
    """Sums over the layers' linear kernels, their diagonals left out; float64.

    Attributes:
        products_GGKK: of the products of two layers' entries, by group of row and of column.
        rows_GKN: of each token's row, by group of column.
        is_of_GN: bool, the group of each token.
    """

    products_GGKK: Tensor
    rows_GKN: Tensor
    is_of_GN: Tensor


def _kernels(states_KND: Tensor, group_N: Tensor, num_groups: int) -> _Kernels:
    """The kernels of pairs of groups in turn: they stay in a core's cache."""
    centred_KND = states_KND - states_KND.mean(1, keepdim=True)
    length_K = torch.linalg.vector_norm(centred_KND, dim=(1, 2)) / len(group_N) ** 0.5
    centred_KND /= length_K[:, None, None]  # products of kernels of any scale fit float32
    is_of_GN = torch.arange(num_groups, device=group_N.device)[:, None] == group_N
    groups = [centred_KND[:, is_of_N] for is_of_N in is_of_GN]
    num_layers = len(states_KND)
    products_GGKK = centred_KND.new_zeros(
        num_groups, num_groups, num_layers, num_layers, dtype=torch.float64
    )
    for row, first_KAD in enumerate(groups):
        for column, second_KBD in enumerate(groups[: row + 1]):
            kernel_KAB = first_KAD @ second_KBD.mT
            if row == column:
                kernel_KAB.diagonal(dim1=1, dim2=2).zero_()
            flat = kernel_KAB.flatten(1)
            products_GGKK[row, column] = products_GGKK[column, row] = flat @ flat.T
    return _Kernels(products_GGKK, _row_sums(centred_KND, groups, is_of_GN), is_of_GN)


def _row_sums(centred_KND: Tensor, groups: list[Tensor], is_of_GN: Tensor) -> Tensor:
    sums_KDG = torch.stack([own_KAD.sum(1) for own_KAD in groups], dim=-1)
    rows_GKN = (centred_KND @ sums_KDG).movedim(-1, 0).double()
    own_KN = torch.linalg.vecdot(centred_KND, centred_KND).double()
    sums_GKN: Tensor = rows_GKN - own_KN * is_of_GN[:, None]
    return sums_GKN


def _unbiased_hsic(kernels: _Kernels) -> Tensor:
    """Dependence of each pair of kernels, up to a factor that all pairs share: [X, K, K]."""
    products = kernels.products_GGKK
    whole_KK = products.sum((0, 1))
    without_GKK = whole_KK - 2 * products.sum(1) + products.diagonal().permute(2, 0, 1)
    left_out = zip(without_GKK, kernels.rows_GKN, kernels.is_of_GN, strict=True)
    total_KN = kernels.rows_GKN.sum(0)
    terms = [_hsic(whole_KK, total_KN)]
    terms += [_hsic(trace, (total_KN - rows)[:, ~is_of]) for trace, rows, is_of in left_out]
    return torch.stack(terms)


def _hsic(trace_KK: Tensor, rows_KN: Tensor) -> Tensor:
    """Song et al. 2012, equation 5, from tr(K L) and the row sums of K and L."""
    n, total_K = rows_KN.shape[1], rows_KN.sum(1)
    if n < _FEWEST_TOKENS:
        return trace_KK.new_full(trace_KK.shape, torch.nan)
    totals_KK = total_K.outer(total_K) / ((n - 1) * (n - 2))
    return trace_KK + totals_KK - 2 / (n - 2) * (rows_KN @ rows_KN.T)
