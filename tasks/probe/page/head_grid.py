"""What every attention head does with a few example sentences, for a grid that opens each head.

Letters: K layers (from layer 1 on), H heads, S sentences, L tokens of one of them with its special
tokens, P places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.batch import batch_from_sequences
from tasks.probe.observe import Observable, real_tokens
from tasks.probe.sample import Tokens
from tasks.probe.table import Row, select
from tasks.token_text import TokenText
from tasks.visible_text import visible

Floats = NDArray[np.floating[Any]]

PLACES = ("special", "≤−4", "−3", "−2", "−1", "self", "+1", "+2", "+3", "≥+4")
MAX_SENTENCES = 3
MAX_TOKENS = 24  # of a sentence with its special tokens
MAX_WEIGHTS = 65_000  # of all heads and sentences together
MAX_LABEL = 24
_FARTHEST = 4


@dataclass(frozen=True, kw_only=True)
class HeadGrid:
    """Attention of every head over the example sentences.

    Attributes:
        labels: the tokens of each sentence as text, special tokens included.
        percent_SKHLL: for each sentence uint8, queries down and keys across, in hundredths.
        profile_KHP: float64, the shares of attention that the text's tokens give to each of
            `PLACES`, relative to themselves; sums to 1. Special tokens count there only.
        entropy_KH: nats.
        distance_KH: tokens.
        num_tokens: tokens of text behind the profile.
    """

    labels: list[list[str]]
    percent_SKHLL: list[NDArray[np.uint8]]
    profile_KHP: NDArray[np.float64]
    entropy_KH: Floats
    distance_KH: Floats
    num_tokens: int

    @property
    def num_layers(self) -> int:
        """K."""
        return len(self.profile_KHP)

    @property
    def num_heads(self) -> int:
        """H."""
        return len(self.profile_KHP[0])


def observe_heads(
    encoder: Observable,
    sentences: Sequence[Tokens],
    text: TokenText,
    *,
    entropy_KH: Floats,
    distance_KH: Floats,
) -> HeadGrid:
    """One pass over each sentence; what each head gives to which token.

    At most `MAX_SENTENCES` sentences of `MAX_TOKENS` tokens are looked at, and fewer and shorter
    ones where the encoder has so many heads that more than `MAX_WEIGHTS` numbers would be kept.

    Args:
        encoder: in evaluation mode.
        sentences: raw token ids, no special tokens; at least one, none of them empty.
        text: spells them.
        entropy_KH: entropy of each head, from the rows of a larger sample (`head_values`).
        distance_KH: mean distance, likewise.
    """
    config = encoder.config
    fitting = _fit(sentences, config.num_layers * config.num_heads)
    seen = [_attention(encoder, sentence) for sentence in fitting]
    ids = [[config.cls_id, *map(int, sentence), config.sep_id] for sentence in fitting]
    profiles = [_profile(weights, is_real) for weights, is_real in seen]
    num_tokens = sum(int(is_real.sum()) for _, is_real in seen)
    return HeadGrid(
        labels=[[token_label(text, each) for each in own] for own in ids],
        percent_SKHLL=[np.rint(100 * weights).astype(np.uint8) for weights, _ in seen],
        profile_KHP=np.sum(profiles, axis=0) / max(1, num_tokens),
        entropy_KH=entropy_KH,
        distance_KH=distance_KH,
        num_tokens=num_tokens,
    )


def head_values(rows: Sequence[Row], measure: str) -> NDArray[np.float64]:
    """A measure's values out of the rows of `tasks.probe.heads`: float64 [K, H]."""
    found = select(rows, measure)
    num_heads = 1 + max(row.head or 0 for row in found)
    return np.array([row.value for row in found]).reshape(-1, num_heads)


def token_label(text: TokenText, token_id: int) -> str:
    """A token on one line without the blanks around it, cut at `MAX_LABEL` letters.

    A blank alone is shown as ␣.
    """
    shown = visible(text.spell([token_id])).strip() or "␣"
    return shown if len(shown) <= MAX_LABEL else shown[: MAX_LABEL - 1] + "…"


def _fit(sentences: Sequence[Tokens], num_heads: int) -> list[Tokens]:
    """As many sentences as fit into `MAX_WEIGHTS`, at least one; all cut to the same most."""
    per_head = MAX_WEIGHTS // num_heads
    num = max(1, min(MAX_SENTENCES, len(sentences), per_head // MAX_TOKENS**2))
    max_tokens = max(3, min(MAX_TOKENS, int((per_head / num) ** 0.5)))
    return [sentence[: max_tokens - 2] for sentence in sentences[:num]]


@torch.inference_mode()
def _attention(
    encoder: Observable, sentence: Tokens
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Weights [K, H, L, L] of one sentence, and which of its tokens are text, [L]."""
    special = encoder.config
    batch = batch_from_sequences(
        [sentence],
        row_tokens=None,
        cls_id=special.cls_id,
        sep_id=special.sep_id,
        pad_id=special.pad_id,
    ).to(next(encoder.parameters()).device)
    maps = [
        seen.attention_BHLL[0].double().cpu().numpy()
        for seen in encoder.observe(batch, attention=True)
        if seen.attention_BHLL is not None
    ]
    return np.stack(maps), real_tokens(encoder, batch)[0].cpu().numpy()


def _profile(
    weights_KHLL: NDArray[np.float64], is_real_L: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Weights of text's queries summed by place of the key: [K, H, P]."""
    position_L = np.arange(len(is_real_L))
    offset_LL = np.clip(position_L[None, :] - position_L[:, None], -_FARTHEST, _FARTHEST)
    place_LL = np.where(is_real_L[None, :], offset_LL + _FARTHEST + 1, 0)
    at_place_PLL = place_LL == np.arange(len(PLACES))[:, None, None]
    by_query_KHLP = np.einsum("khij,pij->khip", weights_KHLL, at_place_PLL.astype(np.float64))
    summed_KHP: NDArray[np.float64] = by_query_KHLP[:, :, is_real_L].sum(axis=2)
    return summed_KHP
