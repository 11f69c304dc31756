"""The encoder: embeddings, layers of attention and gated feed-forward, a final norm.

The attributes are named so that `state_dict` has the keys of Hugging Face's ModernBertModel.
Letters: B rows, L positions, M of a batch's positions, D hidden width, H heads, I intermediate
width, K layers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention import Attention, Neighbourhood, at, neighbourhood
from model.batch import Batch
from model.block_attention import MAX_LENGTH
from model.blocks import find_blocks
from model.config import EncoderConfig
from model.head_order import DTYPES as BLOCK_DTYPES

KnownPath = Literal["rows", "stream", "blocks"]
AttentionPath = Literal["auto"] | KnownPath


@dataclass(frozen=True)
class Observation:
    """What one layer computed.

    Attributes:
        layer: 0 = the embeddings, k = the output of the k-th layer, the last one after the
            final norm.
        hidden_BLD: the hidden states.
        attention_BHLL: float32 attention probabilities inside the layer; None for layer 0 and
            where they were not asked for.
    """

    layer: int
    hidden_BLD: Tensor
    attention_BHLL: Tensor | None


class Embeddings(nn.Module):
    """Token vectors, normed; positions enter in the attention."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.tok_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.norm = _norm(config)

    def forward(self, token_ids_BL: Tensor) -> Tensor:
        hidden_BLD: Tensor = self.norm(self.tok_embeddings(token_ids_BL))
        return hidden_BLD


class FeedForward(nn.Module):
    """GeGLU: the exact GELU of one half times the other (Shazeer 2020, section 2)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.Wi = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.Wo = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, hidden_BLD: Tensor) -> Tensor:
        input_BLI, gate_BLI = self.Wi(hidden_BLD).chunk(2, dim=-1)
        output_BLD: Tensor = self.Wo(functional.gelu(input_BLI) * gate_BLI)
        return output_BLD


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each added to its normed input (pre-norm)."""

    def __init__(self, config: EncoderConfig, layer: int) -> None:
        super().__init__()
        self.is_full = config.is_full_layer(layer)
        # The embeddings end in a norm, so the first layer has none of its own.
        self.attn_norm: nn.Module = _norm(config) if layer else nn.Identity()
        self.attn = Attention(config)
        self.mlp_norm = _norm(config)
        self.mlp = FeedForward(config)

    def forward(
        self, hidden_BLD: Tensor, where: Neighbourhood, positions_M: Tensor | None = None
    ) -> Tensor:
        mixed_BLD = self.attn(self.attn_norm(hidden_BLD), where, positions_M)
        hidden_BLD = at(hidden_BLD, positions_M) + mixed_BLD
        output_BLD: Tensor = hidden_BLD + self.mlp(self.mlp_norm(hidden_BLD))
        return output_BLD


class Encoder(nn.Module):
    """A bidirectional transformer whose sequences never see each other.

    Args:
        config: the sizes.
        attention: "rows" uses masked attention over rows, "stream" attention over one stream of
            tokens, "blocks" matrix products over sequences of about one length; "auto" takes
            blocks on the CPU, the stream there for rows longer than
            `model.block_attention.MAX_LENGTH` and in float16, and on CUDA in half precision, where
            its kernel exists, else rows.
    """

    def __init__(self, config: EncoderConfig, *, attention: AttentionPath = "auto") -> None:
        super().__init__()
        self.config = config
        self.attention = attention
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(EncoderLayer(config, k) for k in range(config.num_layers))
        self.final_norm = _norm(config)

    def forward(self, batch: Batch, positions_M: Tensor | None = None) -> Tensor:
        """Hidden states ``hidden_BLD`` after the final norm.

        With `positions_M` (int64, in the flattened batch) only those, as ``hidden_MD``: the same
        values, but most of the last layer's work is left out.
        """
        hidden_BLD = self.embeddings(batch.token_ids_BL)
        places = self._neighbourhoods(batch, self._path(hidden_BLD))
        *before, last = self._blocks()
        for layer in before:
            hidden_BLD = layer(hidden_BLD, places[layer.is_full])
        hidden_BLD = last(hidden_BLD, places[last.is_full], positions_M)
        output_BLD: Tensor = self.final_norm(hidden_BLD)
        return output_BLD

    def observe(self, batch: Batch, *, attention: bool = False) -> Iterator[Observation]:
        """What every layer computes, one after another, K + 1 observations.

        The states are those that `forward` goes through. With `attention` each layer's
        probabilities are computed once more, explicitly.
        """
        hidden_BLD = self.embeddings(batch.token_ids_BL)
        places = self._neighbourhoods(batch, self._path(hidden_BLD))
        rows = self._neighbourhoods(batch, "rows") if attention else {}
        yield Observation(0, hidden_BLD, None)
        for k, layer in enumerate(self._blocks(), start=1):
            attention_BHLL = None
            if attention:
                place = rows[layer.is_full]
                attention_BHLL = layer.attn.probabilities(layer.attn_norm(hidden_BLD), place)
            hidden_BLD = layer(hidden_BLD, places[layer.is_full])
            seen_BLD = self.final_norm(hidden_BLD) if k == len(self.layers) else hidden_BLD
            yield Observation(k, seen_BLD, attention_BHLL)

    def cut(self, num_layers: int) -> Self:
        """An encoder of the first layers only, with the final norm; the weights are shared.

        Full and sliding-window layers alternate in it as they do in the whole one.

        Raises:
            ValueError: there are not so many layers, or none would be left.
        """
        if not 1 <= num_layers <= len(self.layers):
            raise ValueError(
                f"{num_layers} is none of this encoder's layers 1 to {len(self.layers)}"
            )
        with torch.device("meta"):
            first = type(self)(
                replace(self.config, num_layers=num_layers), attention=self.attention
            )
        first.embeddings, first.final_norm = self.embeddings, self.final_norm
        first.layers = self.layers[:num_layers]
        return first.train(self.training)

    def embed(self, batch: Batch) -> Tensor:
        """States ``hidden_BLD`` that the first layer is given."""
        hidden_BLD: Tensor = self.embeddings(batch.token_ids_BL)
        return hidden_BLD

    def steps(self, batch: Batch) -> list[Callable[..., Tensor]]:
        """Each layer as a function of the states below it, so that one can begin at any.

        It takes ``hidden_BLD`` and may be given ``positions_M``, as `forward`. Over rows, as
        `observe` computes attention.
        """
        places = self._neighbourhoods(batch, "rows")
        return [partial(layer, where=places[layer.is_full]) for layer in self._blocks()]

    def output_projections(self) -> list[nn.Linear]:
        """What takes all that a layer's heads have gathered, side by side, of each layer."""
        return [layer.attn.Wo for layer in self._blocks()]

    def _neighbourhoods(self, batch: Batch, path: KnownPath) -> dict[bool, Neighbourhood]:
        """The neighbourhood of full (True) and of sliding-window (False) layers."""
        over = find_blocks(batch.runs) if path == "blocks" else path
        return {
            full: neighbourhood(batch, self.config, full=full, over=over)
            for full in {layer.is_full for layer in self._blocks()}
        }

    def _blocks(self) -> list[EncoderLayer]:
        return cast("list[EncoderLayer]", list(self.layers))

    def _path(self, hidden_BLD: Tensor) -> KnownPath:
        if self.attention != "auto":
            return self.attention
        kind, dtype = hidden_BLD.device.type, hidden_BLD.dtype
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        if kind == "cpu":
            has_blocks = dtype in BLOCK_DTYPES and hidden_BLD.shape[1] <= MAX_LENGTH
            return "blocks" if has_blocks else "stream"
        is_half = dtype in (torch.bfloat16, torch.float16)
        return "stream" if kind == "cuda" and is_half else "rows"


def _norm(config: EncoderConfig) -> nn.LayerNorm:
    return nn.LayerNorm(config.hidden_size, eps=config.norm_eps, bias=False)
