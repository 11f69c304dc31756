"""The shape of hidden states: how far apart, how spread out, how alike from layer to layer.

Every measure is a function of sums over tokens. So one pass over the states of a layer gives the
measure of the whole sample and, by leaving out groups of documents, its interval
(`model.intervals`). Only states of real tokens come in: no padding, no special tokens. Sums are
float64. Layer 0 is the embedding output.

Letters: N tokens, D hidden width, T token types, G groups, E = D + 2 augmented width.
"""

import torch
from torch import Tensor

from model.intervals import sum_by_group


def unit_sums(
    hidden_ND: Tensor, types_N: Tensor, group_N: Tensor, *, num_types: int, num_groups: int
) -> tuple[Tensor, Tensor]:
    """What `anisotropy` and `self_similarity` need to know of a layer.

    Args:
        hidden_ND: states of N tokens.
        types_N: int64, the type of each token in [0, num_types).
        group_N: int64, the group of its document in [0, num_groups).

    Returns:
        sums_GTD: unit vectors summed over the tokens of each type in each group.
        counts_GT: how many they were.
    """
    cell_N = group_N * num_types + types_N
    sums = sum_by_group(_unit(hidden_ND), cell_N, num_groups * num_types)
    counts = sum_by_group(torch.ones_like(cell_N), cell_N, num_groups * num_types)
    return sums.view(num_groups, num_types, -1), counts.view(num_groups, num_types)


def anisotropy(sums_TD: Tensor, counts_T: Tensor) -> Tensor:
    """Mean cosine of two tokens of different types, over all such pairs.

    0 when directions are spread evenly, 1 when all states point one way. Pairs are not drawn but
    all counted: the cosines of all pairs sum to the squared length of the sum of unit vectors.
    NaN where the sample holds one type only.

    Args:
        sums_TD: sum of the unit vectors of each type, from `unit_sums`.
        counts_T: tokens of each type.

    Source: Ethayarajh 2019, section 3.4 (there estimated from drawn words).
    """
    cosines = sums_TD.sum(0).square().sum() - sums_TD.square().sum()
    return cosines / (counts_T.sum().square() - counts_T.square().sum())


def self_similarity(sums_TD: Tensor, counts_T: Tensor) -> Tensor:
    """Mean cosine of two occurrences of one token type, then the mean over types.

    1 means that context changes nothing, as in layer 0. Types that occur once do not count; NaN
    where no type repeats. Subtract `anisotropy` to compare layers.

    Source: Ethayarajh 2019, section 3.3.
    """
    repeated_T = counts_T > 1
    num_T = counts_T[repeated_T]
    cosines_T = sums_TD[repeated_T].square().sum(1) - num_T
    return (cosines_T / (num_T * (num_T - 1))).mean()


def without_top_dimensions(hidden_ND: Tensor, num_dropped: int) -> Tensor:
    """The states without the dimensions that add most to their mean cosine.

    A few dimensions of large mean can make all states look alike; what is left shows whether
    the layer is anisotropic beyond them. Source: Timkey and van Schijndel 2021.
    """
    contribution_D = _unit(hidden_ND).sum(0).square()
    kept = contribution_D.argsort(stable=True)[: hidden_ND.shape[1] - num_dropped]
    return hidden_ND[:, kept.sort().values]


def augment(hidden_ND: Tensor) -> Tensor:
    """States centred on the sample's mean, then their squared length, then a one: [N, E].

    Products of such rows summed over tokens hold every moment that `effective_rank` and
    `linear_cka` need.
    """
    centred_ND = hidden_ND.double() - hidden_ND.double().mean(0)
    squared_N1 = centred_ND.square().sum(1, keepdim=True)
    return torch.cat([centred_ND, squared_N1, torch.ones_like(squared_N1)], dim=1)


def cross_moments(
    first_NE: Tensor, second_NE: Tensor, group_N: Tensor, *, num_groups: int
) -> Tensor:
    """Sums over the tokens of each group of the outer products of two layers' augmented states.

    Returns moments_GEE, the first layer down, the second across. Cost: O(N E^2).
    """
    return torch.stack(
        [first_NE[group_N == group].T @ second_NE[group_N == group] for group in range(num_groups)]
    )


def effective_rank(moments_EE: Tensor) -> Tensor:
    """How many directions the states spread over: exp of the entropy of their variance shares.

    Between 1 and D (at most N - 1). Shares are the eigenvalues of the centred covariance divided
    by their sum; NaN where the states do not vary.

    Args:
        moments_EE: `cross_moments` of a layer with itself, summed over groups.

    Source: Roy and Vetterli 2007, applied to the covariance. Cost: O(D^3).
    """
    outer_DD, sum_D, count = moments_EE[:-2, :-2], moments_EE[:-2, -1], moments_EE[-1, -1]
    variance_D = torch.linalg.eigvalsh(outer_DD - sum_D.outer(sum_D) / count).clamp_min(0)
    entropy: Tensor = torch.special.entr(variance_D / variance_D.sum()).sum()
    return entropy.exp()


def linear_cka(cross_EE: Tensor, first_EE: Tensor, second_EE: Tensor) -> Tensor:
    """Similarity of two layers' states of the same tokens, by centred kernel alignment.

    1 when one layer is the other rotated and scaled, near 0 when they are unrelated. Each of the
    three dependence terms is the unbiased estimate, so few tokens in many dimensions do not make
    unrelated layers look alike; the value can therefore fall slightly below 0.

    Args:
        cross_EE: `cross_moments` of the two layers, summed over groups.
        first_EE: the first layer's with itself.
        second_EE: the second layer's with itself.

    Source: Kornblith et al. 2019, section 3; unbiased estimate of Song et al. 2012.
    Cost: O(D^2); no N x N matrix is ever formed.
    """
    norm = (_unbiased_hsic(first_EE) * _unbiased_hsic(second_EE)).sqrt()
    return _unbiased_hsic(cross_EE) / norm


def _unbiased_hsic(moments_EE: Tensor) -> Tensor:
    """Dependence of two linear kernels whose diagonals are left out, up to a common factor.

    With kernels K = X X', L = Y Y' and diagonals k, l, every term of the estimate is a product
    of moments: tr(K L) = |X'Y|^2 - k.l, 1'K 1 = |X'1|^2 - k.1 and K 1 = X (X'1) - k.
    """
    cross_DD, x_l, x_1 = moments_EE[:-2, :-2], moments_EE[:-2, -2], moments_EE[:-2, -1]
    k_y, k_l, k_1 = moments_EE[-2, :-2], moments_EE[-2, -2], moments_EE[-2, -1]
    y_1, l_1, n = moments_EE[-1, :-2], moments_EE[-1, -2], moments_EE[-1, -1]
    trace = cross_DD.square().sum() - k_l
    totals = (x_1 @ x_1 - k_1) * (y_1 @ y_1 - l_1)
    rows = x_1 @ cross_DD @ y_1 - x_1 @ x_l - y_1 @ k_y + k_l
    return trace + totals / ((n - 1) * (n - 2)) - 2 / (n - 2) * rows


def residual_update(before_ND: Tensor, after_ND: Tensor) -> Tensor:
    """Each token's change in a layer relative to what came in: |after - before| / |before|.

    After the last layer the final norm counts as part of the change.
    """
    before, after = before_ND.double(), after_ND.double()
    change_N: Tensor = (after - before).norm(dim=1) / before.norm(dim=1)
    return change_N


def residual_cosine(before_ND: Tensor, after_ND: Tensor) -> Tensor:
    """Each token's cosine between its state before and after a layer."""
    cosine_N: Tensor = (_unit(before_ND) * _unit(after_ND)).sum(1)
    return cosine_N


def _unit(hidden_ND: Tensor) -> Tensor:
    return torch.nn.functional.normalize(hidden_ND.double(), dim=1)
