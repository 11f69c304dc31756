"""Trees over the words of a sentence: distances in them, and trees that distances suggest.

A head is 0 for the root and otherwise the number of a word of the sentence, from 1.

Letters: S sentences, W words of the longest one.
"""

import torch
from torch import Tensor


def tree_distances(head_SW: Tensor, is_word_SW: Tensor) -> Tensor:
    """Edges on the path between every two words: float32 [S, W, W], 0 on padding.

    Words with several roots are joined by one more node above the roots.

    Args:
        head_SW: int64 in [0, W]; no cycles. Anything on padding.
        is_word_SW: bool, False on padding.

    The path goes up to the lowest common ancestor, so with each word's ancestors at hand, itself
    among them, it is a matter of counting. Cost: O(S W^3) in products of 0s and 1s.
    """
    above_SWW = _ancestors(head_SW, is_word_SW)
    depth_SW = above_SWW.sum(-1)
    shared_SWW = above_SWW @ above_SWW.mT
    distance_SWW = depth_SW[:, :, None] + depth_SW[:, None, :] - 2 * shared_SWW
    return distance_SWW * (is_word_SW[:, :, None] & is_word_SW[:, None, :])


def _ancestors(head_SW: Tensor, is_word_SW: Tensor) -> Tensor:
    """1 where the second word is the first or above it: float32 [S, W, W]."""
    num_words = head_SW.shape[1]
    place_W = torch.arange(num_words, device=head_SW.device)
    reached_SW = torch.where(is_word_SW, place_W + 1, 0)
    heads_SV = torch.nn.functional.pad(torch.where(is_word_SW, head_SW, 0), (1, 0))
    above_SWV = torch.zeros(*head_SW.shape, num_words + 1, device=head_SW.device)
    for _ in range(num_words + 1):
        if not reached_SW.any():
            return above_SWV[:, :, 1:]
        above_SWV.scatter_(2, reached_SW[:, :, None], 1.0)
        reached_SW = heads_SV.gather(1, reached_SW)
    raise AssertionError("heads have no cycles")


def spanning_edges(distance_SWW: Tensor, is_kept_SW: Tensor) -> Tensor:
    """The edges of each sentence's tree of least total distance: bool [S, W, W], both ways.

    Grown from the first kept word by the nearest word outside (Prim 1957); of equals the one
    that stands first. All sentences grow at once.

    Args:
        distance_SWW: float, symmetric.
        is_kept_SW: bool, the words to join; the others get no edges.

    Cost: W steps of O(S W).
    """
    num_sentences, num_words = is_kept_SW.shape
    row_S = torch.arange(num_sentences, device=distance_SWW.device)
    is_edge_SWW = torch.zeros_like(distance_SWW, dtype=torch.bool)
    is_outside_SW = is_kept_SW.clone()
    newest_S = is_kept_SW.long().argmax(1)
    nearest_SW = newest_S[:, None].expand(-1, num_words)
    gap_SW = torch.full_like(distance_SWW[:, 0], torch.inf)
    for _ in range(num_words - 1):
        is_outside_SW[row_S, newest_S] = False
        own_SW = distance_SWW[row_S, newest_S]
        is_nearer_SW = own_SW < gap_SW
        gap_SW = torch.where(is_nearer_SW, own_SW, gap_SW)
        nearest_SW = torch.where(is_nearer_SW, newest_S[:, None], nearest_SW)
        newest_S = gap_SW.masked_fill(~is_outside_SW, torch.inf).argmin(1)
        grows_S = is_outside_SW.any(1)
        joined_S = nearest_SW[row_S, newest_S]
        is_edge_SWW[row_S[grows_S], newest_S[grows_S], joined_S[grows_S]] = True
    return is_edge_SWW | is_edge_SWW.mT


def ranks(values: Tensor, is_ranked: Tensor) -> Tensor:
    """Ranks along the last dimension, from 1, equals sharing their mean: [..., W] to the same.

    Args:
        values: float.
        is_ranked: bool of the same shape; the others neither get a rank (0) nor count.

    Cost: O(W^2) for each row of W.
    """
    counts = is_ranked[..., None, :]
    num_below = ((values[..., None, :] < values[..., :, None]) & counts).sum(-1)
    num_equal = ((values[..., None, :] == values[..., :, None]) & counts).sum(-1)
    return (num_below + (num_equal + 1) / 2) * is_ranked


def rank_correlation(first: Tensor, second: Tensor, is_ranked: Tensor) -> Tensor:
    """Spearman's correlation along the last dimension: [..., W] becomes [...], float64.

    NaN where either side does not vary. Args as for `ranks`.
    """
    num = is_ranked.sum(-1, keepdim=True)
    centre = (num + 1) / 2 * is_ranked
    one, other = (ranks(side, is_ranked).double() - centre for side in (first, second))
    norm = (one.square().sum(-1) * other.square().sum(-1)).sqrt()
    return (one * other).sum(-1) / norm
