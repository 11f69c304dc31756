"""One sentence carried through one attention head, every number kept.

The steps are those of Vaswani et al. 2017, "Attention is all you need", section 3.2.1, equation 1
(scaled dot-product attention) and section 3.2.2 (several heads and the output projection), with
queries and keys turned by position before they meet (Su et al. 2021, section 3.2.2).

Letters: L tokens of the sentence with its special tokens, D hidden width, H heads, E head size, F
half of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.attention import Neighbourhood, neighbourhood
from model.batch import Batch, batch_from_sequences
from model.encoder import Encoder, EncoderLayer
from model.errors import RequestError
from model.rotary import rotate
from tasks.probe.observe import real_tokens
from tasks.probe.page.head_grid import token_label
from tasks.probe.sample import Tokens
from tasks.token_text import TokenText

Doubles = NDArray[np.float64]
MAX_TOKENS = 16  # of the sentence with its special tokens


@dataclass(frozen=True, kw_only=True)
class HeadWalk:
    """Every step of one head; each follows from those above it, in float64.

    Attributes:
        labels: the L tokens as text.
        layer: from 1.
        head: from 0.
        asking: the token whose way is shown.
        num_heads: H.
        input_LD: what the layer's attention is given: states of the layer below, normed.
        query_weight_ED, key_weight_ED, value_weight_ED: the head's part of the projections.
        plain_query_LE, plain_key_LE: ``input @ weight.T``.
        value_LE: the same for values.
        cos_LF, sin_LF: the turn at each position.
        query_LE, key_LE: turned: component i and component i + F together, as a point in a plane.
        sees_LL: bool, whether a token (row) may look at another.
        score_LL: ``query @ key.T / sqrt(E)``; minus infinity where a token may not look.
        weight_LL: softmax of each row of scores.
        gathered_LE: ``weight @ value``.
        output_weight_DE: the head's part of the output projection.
        contribution_LD: ``gathered @ output_weight.T``: what the head adds.
        others_LD: what the other heads of the layer add, computed alike.
        module_LD: what the layer's attention itself gives: ``contribution + others``, up to the
            rounding of float32.
    """

    labels: list[str]
    layer: int
    head: int
    asking: int
    num_heads: int
    input_LD: Doubles
    query_weight_ED: Doubles
    key_weight_ED: Doubles
    value_weight_ED: Doubles
    plain_query_LE: Doubles
    plain_key_LE: Doubles
    value_LE: Doubles
    cos_LF: Doubles
    sin_LF: Doubles
    query_LE: Doubles
    key_LE: Doubles
    sees_LL: NDArray[np.bool_]
    score_LL: Doubles
    weight_LL: Doubles
    gathered_LE: Doubles
    output_weight_DE: Doubles
    contribution_LD: Doubles
    others_LD: Doubles
    module_LD: Doubles

    @property
    def output_LD(self) -> Doubles:
        """All heads together."""
        return self.contribution_LD + self.others_LD


@torch.inference_mode()
def walk_head(
    encoder: Encoder,
    sentence: Tokens,
    text: TokenText,
    *,
    layer: int,
    head: int,
    asking: int,
) -> HeadWalk:
    """Carry a sentence, cut at `MAX_TOKENS`, through one head.

    Args:
        encoder: in evaluation mode.
        sentence: raw token ids, no special tokens.
        text: spells them.
        layer: from 1.
        head: from 0.
        asking: the token to follow, counted with the leading special token.

    Raises:
        RequestError: the encoder has no such head, or the sentence no such token.
    """
    batch = _batch(encoder, sentence)
    _check(encoder, batch, layer, head, asking)
    input_1LD, place, block = _at_layer(encoder, batch, layer)
    heads = [
        _steps(input_1LD[0].double(), block, place, each)
        for each in range(encoder.config.num_heads)
    ]
    contributions = [steps["contribution_LD"] for steps in heads]
    others_LD = torch.stack(contributions).sum(0) - contributions[head]
    steps = heads[head] | {"others_LD": others_LD, "module_LD": block.attn(input_1LD, place)[0]}
    return HeadWalk(
        labels=[token_label(text, int(each)) for each in batch.token_ids_BL[0]],
        layer=layer,
        head=head,
        asking=asking,
        num_heads=len(heads),
        sees_LL=_sees(place).cpu().numpy(),
        **{name: values.double().cpu().numpy() for name, values in steps.items()},
    )


@torch.inference_mode()
def telling_head(encoder: Encoder, sentence: Tokens, text: TokenText) -> tuple[int, int, int]:
    """The layer, head and asking token of a sentence's most decided look at a word further away.

    That is the greatest weight between two tokens of letters that are not neighbours; where there
    are no such two, the first head and its first token of text.
    """
    batch = _batch(encoder, sentence)
    labels = [token_label(text, int(each)) for each in batch.token_ids_BL[0]]
    is_word_L = real_tokens(encoder, batch)[0].cpu() & torch.tensor([*map(str.isalpha, labels)])
    position_L = torch.arange(len(labels))
    is_apart_LL = (position_L[:, None] - position_L[None, :]).abs() > 1
    counts_LL = is_word_L[:, None] & is_word_L[None, :] & is_apart_LL
    maps = [seen.attention_BHLL for seen in encoder.observe(batch, attention=True)]
    weight_KHLL = torch.stack([each[0].cpu() for each in maps if each is not None])
    best = int((weight_KHLL * counts_LL).argmax())
    if not counts_LL.any():
        return 1, 0, 1
    layer, head, asking, _ = np.unravel_index(best, tuple(weight_KHLL.shape))
    return int(layer) + 1, int(head), int(asking)


def _batch(encoder: Encoder, sentence: Sequence[int] | Tokens) -> Batch:
    special = encoder.config
    batch = batch_from_sequences(
        [np.asarray(sentence[: MAX_TOKENS - 2])],
        row_tokens=None,
        cls_id=special.cls_id,
        sep_id=special.sep_id,
        pad_id=special.pad_id,
    )
    return batch.to(next(encoder.parameters()).device)


def _check(encoder: Encoder, batch: Batch, layer: int, head: int, asking: int) -> None:
    config = encoder.config
    if not (1 <= layer <= config.num_layers and 0 <= head < config.num_heads):
        raise RequestError(
            f"there is no head {head} of layer {layer}: layers go from 1 to {config.num_layers}, "
            f"heads from 0 to {config.num_heads - 1}"
        )
    if not 0 <= asking < batch.token_ids_BL.shape[1]:
        raise RequestError(
            f"the sentence has no token {asking}: with its special tokens it has "
            f"{batch.token_ids_BL.shape[1]}, counted from 0"
        )


def _at_layer(
    encoder: Encoder, batch: Batch, layer: int
) -> tuple[Tensor, Neighbourhood, EncoderLayer]:
    """What a layer's attention is given, ``[1, L, D]``, whom it sees, and the layer."""
    block = cast(EncoderLayer, encoder.layers[layer - 1])
    below = next(seen for seen in encoder.observe(batch) if seen.layer == layer - 1)
    place = neighbourhood(batch, encoder.config, full=block.is_full, over="rows")
    return block.attn_norm(below.hidden_BLD), place, block


def _sees(place: Neighbourhood) -> Tensor:
    assert place.mask_B1LL is not None, "a neighbourhood over rows has a mask"
    return place.mask_B1LL[0, 0]


def _steps(
    input_LD: Tensor, block: EncoderLayer, place: Neighbourhood, head: int
) -> dict[str, Tensor]:
    """Every step of one head by its name in `HeadWalk`, in float64."""
    width = input_LD.shape[1]
    size = width // block.attn.num_heads
    own = slice(head * size, (head + 1) * size)
    query_ED, key_ED, value_ED = block.attn.Wqkv.weight.double().view(3, width, width)[:, own]
    output_DE = block.attn.Wo.weight.double()[:, own]
    cos_LF, sin_LF = place.cos_BLF[0].double(), place.sin_BLF[0].double()
    plain_query_LE, plain_key_LE, value_LE = (
        input_LD @ weight_ED.T for weight_ED in (query_ED, key_ED, value_ED)
    )
    query_LE, key_LE = (rotate(each, cos_LF, sin_LF) for each in (plain_query_LE, plain_key_LE))
    score_LL = (query_LE @ key_LE.T / size**0.5).masked_fill(~_sees(place), -torch.inf)
    weight_LL = score_LL.softmax(dim=-1)
    gathered_LE = weight_LL @ value_LE
    return {
        "input_LD": input_LD,
        "query_weight_ED": query_ED,
        "key_weight_ED": key_ED,
        "value_weight_ED": value_ED,
        "plain_query_LE": plain_query_LE,
        "plain_key_LE": plain_key_LE,
        "value_LE": value_LE,
        "cos_LF": cos_LF,
        "sin_LF": sin_LF,
        "query_LE": query_LE,
        "key_LE": key_LE,
        "score_LL": score_LL,
        "weight_LL": weight_LL,
        "gathered_LE": gathered_LE,
        "output_weight_DE": output_DE,
        "contribution_LD": gathered_LE @ output_DE.T,
    }
