"""The shape of hidden states: how far apart, how spread out, how far each layer moves them.

Every measure is a function of sums over tokens. So one pass over the states of a layer gives the
measure of the whole sample and, by leaving out groups of documents, its interval
(`model.intervals`). Only states of real tokens come in: no padding, no special tokens. Products
are taken in the states' own precision, what is small is float64. Layer 0 is the embedding output.

Letters: N tokens, D hidden width, T token types, G groups, X = 1 + G (the whole sample, then what
is left without each group), C cells (tokens of one type in one group), E = D + 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.bags import Bags, deal
from model.intervals import whole_and_without_each

_ROWS_AT_ONCE = 1024  # as many as stay in a core's cache
_COLUMNS_AT_ONCE = 128
_LEAST_LENGTH = 1e-12
_LEAST_SHARE = 1e-12  # of variance, whose logarithm is finite


def draw_tokens(num_tokens: int, *, most: int, seed: int) -> Tensor:
    """Places of at most `most` of `num_tokens` tokens, drawn without repetition, rising: int64."""
    if num_tokens <= most:
        return torch.arange(num_tokens)
    drawn = np.random.default_rng(seed).choice(num_tokens, most, replace=False)
    return torch.from_numpy(np.sort(drawn))


@dataclass(frozen=True)
class Cells:
    """Tokens of one type in one group of documents; made once, used for all layers.

    Attributes:
        tokens: the tokens of each cell, cells of one type beside each other.
        types: the cells of each type.
        type_C: int64, the type of each cell, counted from 0.
        group_C: int64, its group.
        num_groups: G.
    """

    tokens: Bags
    types: Bags
    type_C: Tensor
    group_C: Tensor
    num_groups: int

    def table(self, values_C: Tensor) -> Tensor:
        """Values of the cells as a table of groups and types, float64 [G, T], 0 where none is."""
        num_types = len(self.types.count_C)
        table_GT = values_C.new_zeros(self.num_groups, num_types, dtype=torch.float64)
        table_GT[self.group_C, self.type_C] = values_C.double()
        return table_GT


def cells_of(types_N: Tensor, group_N: Tensor, *, num_groups: int) -> Cells:
    """Deals tokens into cells by their type (int64) and group (int64 in [0, num_groups))."""
    tokens = deal(types_N * num_groups + group_N)
    type_C, group_C = tokens.names_C // num_groups, tokens.names_C % num_groups
    types = deal(type_C)
    index_C = torch.arange(len(types.count_C), device=type_C.device)
    return Cells(tokens, types, index_C.repeat_interleave(types.count_C), group_C, num_groups)


@dataclass(frozen=True)
class UnitSums:
    """Sums of a layer's unit vectors, as far as mean cosines depend on them; float64.

    Attributes:
        sum_D: of all tokens.
        all_X: squared length of the sum of all tokens.
        types_XT: squared length of the sum of each type's tokens.
        counts_XT: tokens of each type.
    """

    sum_D: Tensor
    all_X: Tensor
    types_XT: Tensor
    counts_XT: Tensor


def unit_sums(hidden_ND: Tensor, cells: Cells, *, without: Tensor | None = None) -> UnitSums:
    """What `anisotropy` and `self_similarity` need to know of a layer.

    A sum without a group is s - g, and |s - g|^2 = |s|^2 - 2 s.g + |g|^2: so each cell is looked
    at once, however many groups there are.

    Args:
        hidden_ND: states of N tokens.
        cells: of these tokens.
        without: dimensions that are taken for 0, int64.

    Cost: O(N D).
    """
    weight_N = 1 / _lengths(hidden_ND, without).clamp_min(_LEAST_LENGTH)
    cells_CD = cells.tokens.sums(hidden_ND, weight_N)
    if without is not None:
        cells_CD.index_fill_(1, without, 0.0)
    types_TD = cells.types.sums(cells_CD)
    within_GT = cells.table(torch.linalg.vecdot(cells_CD, cells_CD))
    across_C = _by_rows(
        lambda rows_CD, type_C: torch.linalg.vecdot(rows_CD, types_TD.index_select(0, type_C)),
        cells_CD,
        cells.type_C,
    )
    across_GT = cells.table(across_C)
    whole_1T = across_GT.sum(0, keepdim=True)
    is_of_GC = cells.group_C == torch.arange(cells.num_groups, device=cells.group_C.device)[:, None]
    sums_XD = whole_and_without_each((is_of_GC.to(cells_CD.dtype) @ cells_CD).double())
    return UnitSums(
        sums_XD[0],
        sums_XD.square().sum(1),
        torch.cat([whole_1T, whole_1T - 2 * across_GT + within_GT]),
        whole_and_without_each(cells.table(cells.tokens.count_C)),
    )


def anisotropy(sums: UnitSums) -> Tensor:
    """Mean cosine of two tokens of different types, over all such pairs: float64 [X].

    0 when directions are spread evenly, 1 when all states point one way. Pairs are not drawn but
    all counted: the cosines of all pairs sum to the squared length of the sum of unit vectors.
    NaN where the sample holds one type only.

    Source: Ethayarajh 2019, section 3.4 (there estimated from drawn words).
    """
    num_pairs_X = sums.counts_XT.sum(1).square() - sums.counts_XT.square().sum(1)
    cosines_X = sums.all_X - sums.types_XT.sum(1)
    return cosines_X / num_pairs_X.where(num_pairs_X > 0, torch.nan)


def self_similarity(sums: UnitSums) -> Tensor:
    """Mean cosine of two occurrences of one token type, then the mean over types: float64 [X].

    1 means that context changes nothing, as in layer 0. Types that occur once do not count; NaN
    where no type repeats. Subtract `anisotropy` to compare layers.

    Source: Ethayarajh 2019, section 3.3.
    """
    counts_XT = sums.counts_XT
    cosines_XT = (sums.types_XT - counts_XT) / (counts_XT * (counts_XT - 1))
    return cosines_XT.where(counts_XT > 1, torch.nan).nanmean(1)


def top_dimensions(sums: UnitSums, num_dropped: int) -> Tensor:
    """The dimensions that add most to the mean cosine, int64, for `unit_sums` without them.

    A few dimensions of large mean can make all states look alike; what is left shows whether
    the layer is anisotropic beyond them. Source: Timkey and van Schijndel 2021.
    """
    return sums.sum_D.square().argsort(stable=True)[len(sums.sum_D) - num_dropped :]


def moments(hidden_ND: Tensor, group_N: Tensor, *, num_groups: int) -> Tensor:
    """Sums over each group's tokens of the outer products of their states, with a one behind them.

    An offset near the mean is taken off all states, so that float32 loses nothing that counts.

    Args:
        hidden_ND: states of N tokens.
        group_N: int64, the group of each in [0, num_groups), -1 where a token does not count.
        num_groups: G.

    Returns moments_GEE, float64. Cost: O(N D^2), in the precision of the states.
    """
    offset_D, width = hidden_ND[:_ROWS_AT_ONCE].mean(0), hidden_ND.shape[1] + 1
    found_GEE = hidden_ND.new_empty(num_groups, width, width, dtype=torch.float64)
    for group, found_EE in enumerate(found_GEE):
        own_ND = hidden_ND.index_select(0, (group_N == group).nonzero()[:, 0]).sub_(offset_D)
        found_EE[:-1, :-1] = _outer_products(own_ND)
        found_EE[:-1, -1] = found_EE[-1, :-1] = own_ND.sum(0)
        found_EE[-1, -1] = len(own_ND)
    return found_GEE


def _outer_products(own_ND: Tensor) -> Tensor:
    """The sum of all rows' outer products [D, D]; below the diagonal is a mirror image."""
    width = own_ND.shape[1]
    outer_DD = own_ND.new_empty(width, width)
    for start in range(0, width, _COLUMNS_AT_ONCE):
        end = min(start + _COLUMNS_AT_ONCE, width)
        outer_DD[start:end, start:] = own_ND[:, start:end].T @ own_ND[:, start:]
        outer_DD[end:, start:end] = outer_DD[start:end, end:].T
    return outer_DD


def effective_rank(moments_EE: Tensor) -> Tensor:
    """How many directions the states spread over: exp of the entropy of their variance shares.

    Between 1 and D (at most N - 1). Shares are the eigenvalues of the centred covariance divided
    by their sum; NaN where the states do not vary. Few tokens make it too low, by about its D / 2 N
    where all directions are used alike: compare layers on as many tokens.

    Args:
        moments_EE: `moments` summed over groups.

    Source: Roy and Vetterli 2007, applied to the covariance. Cost: O(D^3).
    """
    share_D = torch.linalg.eigvalsh(_shares(moments_EE)).clamp_min(0)
    entropy: Tensor = torch.special.entr(share_D).sum()
    return entropy.exp()


def effective_ranks(moments_GEE: Tensor) -> Tensor:
    """The effective rank of the whole sample and, to first order, without each group: [X].

    With shares p of variance along v, a change dP of the normed covariance P changes the entropy
    by -sum ln p (v' dP v), so eigenvectors are asked for once. NaN as in `effective_rank`.

    Source: the first-order jackknife, Efron and Tibshirani 1993, chapter 22.
    Cost: O(D^3 + G D^2).
    """
    total_EE = moments_GEE.sum(0)
    whole_DD = _shares(total_EE)
    if not whole_DD.isfinite().all():
        return whole_DD.new_full((1 + len(moments_GEE),), torch.nan)
    share_D, vectors_DD = torch.linalg.eigh(whole_DD)
    entropy = torch.special.entr(share_D.clamp_min(0)).sum()
    slope_DD = vectors_DD * share_D.clamp_min(_LEAST_SHARE).log() @ vectors_DD.T
    level = (slope_DD * whole_DD).sum()
    changes = [level - (slope_DD * _shares(total_EE - each)).sum() for each in moments_GEE]
    return torch.stack([entropy, *(entropy + change for change in changes)]).exp()


def _shares(moments_EE: Tensor) -> Tensor:
    """The centred covariance over its trace, [D, D]."""
    outer_DD, sum_D, count = moments_EE[:-1, :-1], moments_EE[:-1, -1], moments_EE[-1, -1]
    covariance_DD = outer_DD - sum_D.outer(sum_D) / count
    return covariance_DD / covariance_DD.trace()


def residual_update(before_ND: Tensor, after_ND: Tensor) -> Tensor:
    """Each token's change in a layer relative to what came in: |after - before| / |before|.

    After the last layer the final norm counts as part of the change. Float64 [N].
    """
    return _by_rows(_relative_change, before_ND, after_ND)


def residual_cosine(before_ND: Tensor, after_ND: Tensor) -> Tensor:
    """Each token's cosine between its state before and after a layer, float64 [N]."""
    return _by_rows(_cosine, before_ND, after_ND)


def _relative_change(before_ND: Tensor, after_ND: Tensor) -> Tensor:
    return _lengths(after_ND - before_ND).double() / _lengths(before_ND).double()


def _cosine(before_ND: Tensor, after_ND: Tensor) -> Tensor:
    product_N: Tensor = torch.linalg.vecdot(before_ND, after_ND).double()
    lengths_N = _lengths(before_ND).double() * _lengths(after_ND).double()
    return product_N / lengths_N.clamp_min(_LEAST_LENGTH)


def _lengths(hidden_ND: Tensor, without: Tensor | None = None) -> Tensor:
    if without is None:
        lengths_N: Tensor = torch.linalg.vector_norm(hidden_ND, dim=1)
        return lengths_N
    kept_D = hidden_ND.new_ones(hidden_ND.shape[1]).index_fill_(0, without, 0.0)
    return _by_rows(lambda rows_ND: rows_ND.square() @ kept_D, hidden_ND).sqrt()


def _by_rows(measure: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    """The measure of some rows after the other: what is in between is never written out."""
    split = zip(*(torch.split(each, _ROWS_AT_ONCE) for each in parts), strict=True)
    return torch.cat([measure(*rows) for rows in split])
