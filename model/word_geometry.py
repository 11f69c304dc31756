"""How alike the tokens of a sentence are, and how much of a word's states one vector explains.

As in `model.geometry`: only states of real tokens come in, products are taken in the states' own
precision, and what is small is float64.

Letters: N tokens, D hidden width, A sentences, T token types, M most occurrences of a type, G
groups of documents, X = 1 + G (the whole sample, then what is left without each group).
"""

import numpy as np
import torch
from torch import Tensor

from model.bags import deal
from model.intervals import whole_and_without_each

LEAST_OCCURRENCES = 5
MOST_OCCURRENCES = 32
MOST_TYPES = 200
_LEAST_LENGTH = 1e-12
_NUM_SQUARINGS = 6
_NUM_STEPS = 5


def intra_sentence_similarity(
    hidden_ND: Tensor, sentence_N: Tensor, *, num_sentences: int
) -> Tensor:
    """The mean cosine of a sentence's tokens to the mean of its states: float64 [A].

    Near 1 when a layer makes all tokens of a sentence alike. NaN for sentences of fewer than two
    tokens. Take the mean over sentences and subtract `geometry.anisotropy` to compare layers;
    sums of the finite values by group of documents give intervals (`model.intervals`).

    Args:
        hidden_ND: states of N tokens.
        sentence_N: int64, the sentence of each token in [0, num_sentences).
        num_sentences: A.

    Source: Ethayarajh 2019, section 3.3. Cost: O(N D).
    """
    sentences = deal(sentence_N)
    length_N = torch.linalg.vector_norm(hidden_ND, dim=1)
    units_CD = sentences.sums(hidden_ND, 1 / length_N.clamp_min(_LEAST_LENGTH)).double()
    sums_CD = sentences.sums(hidden_ND).double()
    cosines_C = torch.cosine_similarity(units_CD, sums_CD, dim=1) * units_CD.norm(dim=1)
    similarity_A = sums_CD.new_full((num_sentences,), torch.nan)
    found_C = (cosines_C / sentences.count_C).masked_fill(sentences.count_C < 2, torch.nan)
    similarity_A[sentences.names_C] = found_C
    return similarity_A


def draw_occurrences(
    types_N: Tensor,
    *,
    seed: int,
    least: int = LEAST_OCCURRENCES,
    most: int = MOST_OCCURRENCES,
    most_types: int = MOST_TYPES,
) -> Tensor:
    """Draw types that repeat, and occurrences of each: their places, int64 [T, M], -1 for none.

    Draw once and use for all layers.

    Args:
        types_N: int64, the type of each token.
        seed: of the draw.
        least: occurrences that a type needs to be drawn, at least 2.
        most: M; of a type with more, so many are drawn.
        most_types: T at most; every type that repeats enough is as likely as another.
    """
    random = np.random.default_rng(seed)
    types = types_N.cpu().numpy()
    counts = np.unique(types, return_counts=True)[1]
    order = types.argsort(kind="stable")
    start = counts.cumsum() - counts
    enough = np.flatnonzero(counts >= least)
    chosen = np.sort(random.permutation(enough)[:most_types])
    places = np.full((len(chosen), most), -1, dtype=np.int64)
    for row, kind in enumerate(chosen):
        own = order[start[kind] : start[kind] + counts[kind]]
        drawn = np.sort(random.permutation(own)[:most])
        places[row, : len(drawn)] = drawn
    return torch.from_numpy(places)


def draw_random_tokens(places_TM: Tensor, *, num_tokens: int, seed: int) -> Tensor:
    """Sets of random tokens as large as those given: int64 [T, M], -1 for none.

    What one vector explains of them is what it explains of tokens that have no type in common.
    Every set is drawn without repetition from all `num_tokens`.
    """
    random = np.random.default_rng(seed)
    drawn_TM = torch.full_like(places_TM, -1)
    for row, num in enumerate((places_TM >= 0).sum(1).tolist()):
        drawn_TM[row, :num] = torch.from_numpy(random.choice(num_tokens, num, replace=False))
    return drawn_TM


def occurrence_products(hidden_ND: Tensor, places_TM: Tensor) -> Tensor:
    """Products of all states of each set with each other: [T, M, M] as the states, 0 for none.

    The squares of the singular values of a set's matrix of states are this matrix's eigenvalues.
    Cost: O(T M^2 D).
    """
    places_TM = places_TM.to(hidden_ND.device)
    states_TMD = hidden_ND[places_TM.clamp_min(0)]
    states_TMD.masked_fill_((places_TM < 0)[:, :, None], 0.0)
    return states_TMD @ states_TMD.mT


def presence(places_TM: Tensor, group_N: Tensor, num_groups: int) -> Tensor:
    """Which occurrences come from each group of documents: float64 [G, T, M], 0 or 1.

    Its sum over groups is what `explained_share` takes; leaving out a group leaves out its
    occurrences. So `model.intervals.jackknife_interval` takes this as a part.
    """
    group_TM = torch.where(places_TM >= 0, group_N.cpu()[places_TM.clamp_min(0)], -1)
    return (group_TM == torch.arange(num_groups)[:, None, None]).double()


def explained_share(product_TMM: Tensor, present_TM: Tensor) -> Tensor:
    """Maximum explainable variance: how much of a set's states one direction holds, mean of sets.

    The square of the first singular value over the sum of all squares, of states that are not
    centred: 1 when all states of a type are multiples of one vector. Subtract the same for
    random sets of equal size: few states in many dimensions are explained well whatever they
    are. Sets of fewer than two states do not count; NaN where there are none.

    Args:
        product_TMM: from `occurrence_products`.
        present_TM: 1 for occurrences that count, else 0, from `presence`.

    Source: Ethayarajh 2019, section 3.3 (MEV). Cost: O(T M^3); 5 ms for 200 sets of 32.
    """
    product_TMM, present_TM = product_TMM.double(), present_TM.to(product_TMM.device).double()
    counted_T = present_TM.sum(1) > 1
    present_TM = present_TM[counted_T]
    kept_TMM = product_TMM[counted_T] * present_TM[:, :, None] * present_TM[:, None, :]
    largest_T = torch.linalg.eigvalsh(kept_TMM).amax(1)
    share: Tensor = (largest_T / kept_TMM.diagonal(dim1=1, dim2=2).sum(1)).mean()
    return share


def explained_shares(product_TMM: Tensor, present_GTM: Tensor) -> Tensor:
    """`explained_share` of the whole sample and, nearly, without each group: float64 [X].

    The eigenvalue without a group is the Rayleigh quotient after a few steps of the power method
    from the whole set's vector: a lower bound, whose error is of second order in what the steps
    leave. That holds for the spread between groups; the first value is exact.

    Args:
        product_TMM: from `occurrence_products`.
        present_GTM: from `presence`.

    Source: Golub and Van Loan 2013, section 8.2, for the power method. Cost: O(T M^3 + G T M^2).
    """
    whole = explained_share(product_TMM, present_GTM.sum(0))
    product_TMM = product_TMM / product_TMM.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    kept_TMG = whole_and_without_each(present_GTM)[1:].permute(1, 2, 0).to(product_TMM)
    vector_TMG = _first_vectors(product_TMM)[:, :, None] * kept_TMG
    for _ in range(_NUM_STEPS):
        vector_TMG = torch.nn.functional.normalize(vector_TMG, dim=1)
        turned_TMG = product_TMM @ vector_TMG * kept_TMG
        largest_TG = (vector_TMG * turned_TMG).sum(1)
        vector_TMG = turned_TMG
    trace_TG = (product_TMM.diagonal(dim1=1, dim2=2)[:, :, None] * kept_TMG).sum(1)
    share_TG = (largest_TG / trace_TG).double().where(kept_TMG.sum(1) > 1, torch.nan)
    return torch.cat([whole[None], share_TG.nanmean(0)])


def _first_vectors(product_TMM: Tensor) -> Tensor:
    """About the direction of each matrix's first eigenvector [T, M]: a column of a high power."""
    for _ in range(_NUM_SQUARINGS):
        product_TMM = product_TMM @ product_TMM
        product_TMM = product_TMM / product_TMM.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    column_T = product_TMM.diagonal(dim1=1, dim2=2).argmax(1)
    return product_TMM[torch.arange(len(column_T), device=column_T.device), :, column_T]
