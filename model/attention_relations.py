"""Whether attention heads look along relations between words: from a word to its head, or back.

Sums by group of documents, so that intervals follow without keeping any attention map.

Letters: B sentences, one to a row; L positions of tokens, H heads of the encoder, W words of the
longest sentence, N words of all sentences, R relations, G groups, X = heads or fixed offsets.
"""

import torch
from torch import Tensor

from model.intervals import sum_by_group


def word_attention(attention_BHLL: Tensor, is_part_BWL: Tensor) -> Tensor:
    """Attention between words from attention between tokens: [B, H, W, W], 0 on padding.

    Attention to a word is the sum over its tokens, attention from a word the mean over its
    tokens. What goes to special tokens goes to no word. A token of two words counts in full for
    both, so a row may then sum to more than 1.

    Args:
        attention_BHLL: float, queries down and keys across.
        is_part_BWL: bool, whether a token belongs to a word; nothing for special tokens.

    Source: Clark et al. 2019, section 4.1. Cost: O(B H L W (L + W)).
    """
    part_B1WL = is_part_BWL[:, None].to(attention_BHLL.dtype)
    num_tokens_B1W1 = part_B1WL.sum(-1, keepdim=True).clamp_min(1)
    return part_B1WL / num_tokens_B1W1 @ (attention_BHLL @ part_B1WL.mT)


def relations_right(
    attention_BHWW: Tensor, head_BW: Tensor, is_word_BW: Tensor
) -> tuple[Tensor, Tensor]:
    """Whether heads' strongest attention to another word goes along each word's relation.

    Args:
        attention_BHWW: from `word_attention`.
        head_BW: int64, the number of each word's head in its sentence, from 1; 0 for roots.
            Anything on padding.
        is_word_BW: bool, False on padding.

    Returns:
        to_head_NH: bool, for the words of all sentences one after another: whether the word
            looks most at its head.
        to_dependent_NH: bool, whether its head looks most at it. A head with several dependents
            can look most at one only.
        Both are False for roots, which `relation_sums` leaves out. The word itself and special
        tokens are never looked at; of equals the first word is.

    Source: Clark et al. 2019, section 4.2. Cost: O(B H W^2); with `word_attention` 1.5 s on one
    core for 2,000 sentences and 36 heads.
    """
    num_words = is_word_BW.shape[1]
    is_self_WW = torch.eye(num_words, dtype=torch.bool, device=is_word_BW.device)
    is_hidden_BWW = ~is_word_BW[:, None, :] | is_self_WW
    seen_BHWW = attention_BHWW.masked_fill(is_hidden_BWW[:, None], -1.0)
    looked_at_BHW = seen_BHWW.argmax(-1)
    place_BW = torch.where(is_word_BW, head_BW - 1, -1)
    head_B1W = place_BW.clamp_min(0)[:, None].expand_as(looked_at_BHW)
    has_head_B1W = (place_BW >= 0)[:, None]
    to_head_BHW = (looked_at_BHW == head_B1W) & has_head_B1W
    own_W = torch.arange(num_words, device=is_word_BW.device)
    to_dependent_BHW = (looked_at_BHW.gather(2, head_B1W) == own_W) & has_head_B1W
    to_head, to_dependent = (
        both.transpose(1, 2)[is_word_BW] for both in (to_head_BHW, to_dependent_BHW)
    )
    return to_head, to_dependent


def relation_sums(
    right_NX: Tensor,
    head_N: Tensor,
    relation_N: Tensor,
    group_N: Tensor,
    *,
    num_relations: int,
    num_groups: int,
) -> tuple[Tensor, Tensor]:
    """Right answers and words by group and relation, roots left out.

    Args:
        right_NX: bool, of heads (`relations_right`, heads of several layers side by side) or of
            offsets (`model.fixed_offsets.offsets_right`).
        head_N: int64, 0 for roots.
        relation_N: int64 in [0, num_relations), each word's relation to its head.
        group_N: int64 in [0, num_groups), the group of each word's document.
        num_relations: R.
        num_groups: G.

    Returns:
        sums_GRX: float64.
        counts_GR1: float64; quotients are shares, and `model.intervals.jackknife_interval` with
            `torch.div` gives their intervals. NaN for a relation without words.
    """
    has_head_N = head_N > 0
    cell_N = (group_N * num_relations + relation_N)[has_head_N]
    num_cells = num_groups * num_relations
    sums = sum_by_group(right_NX[has_head_N], cell_N, num_cells)
    counts = sum_by_group(torch.ones_like(cell_N)[:, None], cell_N, num_cells)
    return sums.view(num_groups, num_relations, -1), counts.view(num_groups, num_relations, 1)


def best_for_relations(sums_RX: Tensor) -> Tensor:
    """The head, or the offset, that is right most often on each relation: int64 [R].

    Of equals the first, which among offsets is the nearest. Choose on the fitting part and score
    on another: the best of many on one sample looks better than it is.
    """
    return sums_RX.argmax(1)
