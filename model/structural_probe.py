"""The structural probe: whether a linear map turns distance between words into tree distance.

Letters: N words of all sentences, A sentences, D features, R rank of the map, S sentences in a
batch, W words of its longest one, L sentence lengths.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.probe_descent import descend
from model.sentence_batches import SentenceBatch, sentence_batches
from model.trees import rank_correlation, spanning_edges, tree_distances

RANK = 64
NUM_STEPS = 300
LEARNING_RATE = 0.02
SHORTEST, LONGEST = 5, 50  # words of the sentences that rank correlation is taken over


@dataclass(frozen=True)
class StructuralProbe:
    """A fitted linear map B; distance is the squared length of B (h_i - h_j).

    Attributes:
        map_DR: float32, the transpose of B.
    """

    map_DR: Tensor

    def distances(self, states_SWD: Tensor) -> Tensor:
        """Squared distances between all words of each sentence: float32 [S, W, W]."""
        return _squared_distances(states_SWD, self.map_DR)


def fit_structural_probe(
    states_ND: Tensor,
    head_N: Tensor,
    length_A: Tensor,
    *,
    seed: int,
    rank: int = RANK,
    num_steps: int = NUM_STEPS,
    learning_rate: float = LEARNING_RATE,
) -> StructuralProbe:
    """Fit the map so that squared distances come near to distances in the trees.

    Minimises the mean over sentences of the sum of |tree distance - squared distance| over all
    pairs of words, divided by the squared number of words.

    Args:
        states_ND: float32, the words' states, sentence by sentence. Whiten them first
            (`model.whitening`): any map can still be reached, in fewer steps.
        head_N: int64, the number of each word's head in its sentence, from 1; 0 for roots.
        length_A: int64, words of each sentence.
        seed: of the first map and of the order of batches.
        rank: R; the paper finds no gain beyond 64.
        num_steps: of about 2,000 words each.
        learning_rate: of the first step.

    Source: Hewitt and Manning 2019, section 2.2. Cost: O(steps * words * (D + W) * R); on one
    core about 2 s at 128 to 384 features, however many sentences there are.
    """
    batches = [_WithTrees.of(batch, head_N) for batch in _batches(length_A, states_ND)]
    generator = torch.Generator().manual_seed(seed)
    map_DR = torch.randn(states_ND.shape[1], min(rank, states_ND.shape[1]), generator=generator)
    map_DR = (map_DR / map_DR.shape[1] ** 0.5).to(states_ND.device)
    map_DR *= _first_size(batches[len(batches) // 2], states_ND, map_DR)

    def loss(one: _WithTrees) -> Tensor:
        distance_SWW = _squared_distances(one.batch.laid_out(states_ND), map_DR)
        return ((distance_SWW - one.tree_SWW).abs() * one.share_SWW).sum()

    descend([map_DR], batches, loss, num_steps=num_steps, learning_rate=learning_rate, seed=seed)
    return StructuralProbe(map_DR)


@dataclass(frozen=True)
class TreeScores:
    """How well distances tell the trees, sentence by sentence.

    Attributes:
        right_A: float64, edges of the tree that distances find.
        edges_A: float64, edges there are to find. Unlabelled undirected attachment score, UUAS,
            is the sum of `right_A` over that of `edges_A`.
        correlation_A: float64, the mean over words of the rank correlation of their distances to
            all words, in sentences of 5 to 50 words; NaN in others.
        length_A: int64, words of each sentence.
    """

    right_A: Tensor
    edges_A: Tensor
    correlation_A: Tensor
    length_A: Tensor


def score_structural_probe(
    probe: StructuralProbe,
    states_ND: Tensor,
    head_N: Tensor,
    length_A: Tensor,
    *,
    is_kept_N: Tensor | None = None,
) -> TreeScores:
    """Score a probe on sentences it was not fitted on.

    Edges that distances find are those of the tree of least total distance over the kept words.

    Args:
        states_ND: as at fitting.
        head_N: as at fitting.
        length_A: as at fitting.
        is_kept_N: bool, False on words, such as punctuation, whose edges are not to be found;
            correlation counts them all the same. An edge counts if both of its words are kept.

    Source: Hewitt and Manning 2019, section 3.2; there, too, a word's own distance to itself is
    among those ranked. Cost: O(W^3) for each sentence of W words; 0.3 s for 2,000 sentences.
    """
    kept_N = torch.ones_like(head_N, dtype=torch.bool) if is_kept_N is None else is_kept_N
    right_A, edges_A = (torch.zeros(len(length_A), dtype=torch.float64) for _ in range(2))
    correlation_A = torch.full_like(right_A, torch.nan)
    for batch in _batches(length_A, states_ND):
        tree_SWW = tree_distances(batch.laid_out(head_N), batch.is_word_SW)
        distance_SWW = probe.distances(batch.laid_out(states_ND))
        is_kept_SW = batch.laid_out(kept_N)
        both_SWW = is_kept_SW[:, :, None] & is_kept_SW[:, None, :]
        is_edge_SWW = (tree_SWW == 1) & both_SWW
        is_found_SWW = spanning_edges(distance_SWW, is_kept_SW) & is_edge_SWW
        place_S = batch.sentence_S.cpu()
        right_A[place_S] = is_found_SWW.sum((1, 2)).double().cpu() / 2
        edges_A[place_S] = is_edge_SWW.sum((1, 2)).double().cpu() / 2
        correlation_A[place_S] = _correlations(distance_SWW, tree_SWW, batch.is_word_SW).cpu()
    return TreeScores(right_A, edges_A, correlation_A, length_A.cpu())


def score_chain(head_N: Tensor, length_A: Tensor, *, is_kept_N: Tensor | None = None) -> TreeScores:
    """The baseline that knows only the order of words: each is joined to the next.

    Args as for `score_structural_probe`.
    """
    start_A = length_A.cumsum(0) - length_A
    place_N = torch.arange(len(head_N), device=head_N.device)
    place_N = place_N - start_A.repeat_interleave(length_A).to(head_N.device)
    order = StructuralProbe(torch.ones(1, 1, device=head_N.device))
    return score_structural_probe(
        order, place_N[:, None].float(), head_N, length_A, is_kept_N=is_kept_N
    )


def length_shares(length_A: Tensor) -> Tensor:
    """Weights of sentences under which every length counts the same, however many have it.

    With them the mean of `TreeScores.correlation_A` is the mean over lengths of the mean over
    sentences of that length, a quotient of sums. Source: Hewitt and Manning 2019, section 4.1.

    Args:
        length_A: int64, words of each sentence that is counted.

    Returns:
        share_A: float64.
    """
    return 1 / torch.bincount(length_A)[length_A].double()


@dataclass(frozen=True)
class _WithTrees:
    """A batch with its trees' distances and each pair's share in the loss."""

    batch: SentenceBatch
    tree_SWW: Tensor
    share_SWW: Tensor

    @classmethod
    def of(cls, batch: SentenceBatch, head_N: Tensor) -> "_WithTrees":
        is_word_SW = batch.is_word_SW
        tree_SWW = tree_distances(batch.laid_out(head_N), is_word_SW)
        is_pair_SWW = is_word_SW[:, :, None] & is_word_SW[:, None, :]
        share_S = 1 / is_word_SW.sum(1).float().square() / len(is_word_SW)
        return cls(batch, tree_SWW, is_pair_SWW * share_S[:, None, None])


def _first_size(one: _WithTrees, states_ND: Tensor, map_DR: Tensor) -> Tensor:
    """The factor that gives a random map the mean distance of the trees."""
    distance_SWW = _squared_distances(one.batch.laid_out(states_ND), map_DR)
    tree, reached = ((side * one.share_SWW).sum() for side in (one.tree_SWW, distance_SWW))
    return torch.where((tree > 0) & (reached > 0), tree / reached, 1.0).sqrt()


def _batches(length_A: Tensor, states_ND: Tensor) -> list[SentenceBatch]:
    return sentence_batches(length_A, device=states_ND.device)


def _squared_distances(states_SWD: Tensor, map_DR: Tensor) -> Tensor:
    """From squared lengths and products, which spares the differences of all pairs."""
    mapped_SWR = states_SWD @ map_DR
    product_SWW = mapped_SWR @ mapped_SWR.mT
    square_SW = product_SWW.diagonal(dim1=1, dim2=2)
    distance_SWW = square_SW[:, :, None] + square_SW[:, None, :] - 2 * product_SWW
    return distance_SWW.clamp_min(0)


def _correlations(distance_SWW: Tensor, tree_SWW: Tensor, is_word_SW: Tensor) -> Tensor:
    """The mean over words of rank correlations, NaN outside of the lengths asked for: [S]."""
    length_S = is_word_SW.sum(1)
    counted_S = (length_S >= SHORTEST) & (length_S <= LONGEST)
    found_S = torch.full(length_S.shape, torch.nan, dtype=torch.float64, device=length_S.device)
    if counted_S.any():
        is_word = is_word_SW[counted_S, :LONGEST]
        is_pair = is_word[:, :, None] & is_word[:, None, :]
        near, true = (side[counted_S, :LONGEST, :LONGEST] for side in (distance_SWW, tree_SWW))
        own = rank_correlation(near, true, is_pair)
        own = torch.where(is_word, own, 0.0).nan_to_num(0.0)
        found_S[counted_S] = own.sum(1) / length_S[counted_S]
    return found_S
