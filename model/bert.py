"""BERT: layers that norm after adding, learned positions; read from disk, to be looked into.

Letters: B rows, L positions, H heads, E head size, D hidden width, M positions asked for,
V vocabulary.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.attention import at
from model.batch import Batch
from model.config import check_constants, check_sizes
from model.encoder import Observation


@dataclass(frozen=True, kw_only=True)
class BertConfig:
    """Sizes and constants of one BERT (Devlin et al. 2019, section 3).

    Attributes:
        vocab_size: rows of the token table.
        hidden_size: width of a hidden state.
        num_layers: transformer layers.
        num_heads: attention heads; they divide `hidden_size`.
        intermediate_size: width inside the feed-forward block.
        max_position_embeddings: rows of the position table: no sequence can be longer.
        num_segments: rows of the table of token types, of which the first is used.
        norm_eps: added to the variance in every LayerNorm.
        initializer_range: standard deviation of fresh weights.
        pad_id, unk_id, cls_id, sep_id, mask_id: ids of the special tokens.

    Raises:
        RequestError: sizes that do not fit each other.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_position_embeddings: int
    num_segments: int
    norm_eps: float
    initializer_range: float
    pad_id: int
    unk_id: int
    cls_id: int
    sep_id: int
    mask_id: int

    def __post_init__(self) -> None:
        check_sizes(self, "num_segments")
        check_constants(self)

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def position_limit(self) -> int:
        """The table of positions ends there."""
        return self.max_position_embeddings

    @property
    def special_ids(self) -> tuple[int, int, int, int, int]:
        """The ids that stand for no text: padding, unknown, first, last and masked."""
        return (self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id)


class BertEmbeddings(nn.Module):
    """Token, position and first segment, added and normed."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.segments = nn.Embedding(config.num_segments, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)

    def forward(self, batch: Batch) -> Tensor:
        summed_BLD = self.tokens(batch.token_ids_BL) + self.positions(batch.positions_BL)
        hidden_BLD: Tensor = self.norm(summed_BLD + self.segments.weight[0])
        return hidden_BLD


class BertLayer(nn.Module):
    """Attention, then feed-forward; each is added to what it was given, and the sum is normed."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.num_heads = config.num_heads
        self.query, self.key, self.value, self.attention_out = (
            nn.Linear(width, width) for _ in range(4)
        )
        self.attention_norm = nn.LayerNorm(width, eps=config.norm_eps)
        self.widen = nn.Linear(width, inner)
        self.narrow = nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width, eps=config.norm_eps)

    def forward(
        self, hidden_BLD: Tensor, sees_B1LL: Tensor, positions_M: Tensor | None = None
    ) -> Tensor:
        """The layer's states; with `positions_M` (int64, in the flattened batch) those alone."""
        query_BHLE, key_BHLE, value_BHLE = (
            self._heads(part(hidden_BLD)) for part in (self.query, self.key, self.value)
        )
        mixed_BHLE = functional.scaled_dot_product_attention(
            query_BHLE, key_BHLE, value_BHLE, attn_mask=sees_B1LL
        )
        gathered_BLD = self.attention_out(at(mixed_BHLE.transpose(1, 2).flatten(2), positions_M))
        hidden_BLD = self.attention_norm(at(hidden_BLD, positions_M) + gathered_BLD)
        output_BLD: Tensor = self.norm(
            hidden_BLD + self.narrow(functional.gelu(self.widen(hidden_BLD)))
        )
        return output_BLD

    def probabilities(self, hidden_BLD: Tensor, sees_B1LL: Tensor) -> Tensor:
        """Float32 ``attention_BHLL``: how much each position (row) takes from each other one."""
        query_BHLE, key_BHLE = (
            self._heads(part(hidden_BLD)).float() for part in (self.query, self.key)
        )
        scores_BHLL = query_BHLE @ key_BHLE.mT * query_BHLE.shape[-1] ** -0.5
        seen_BHLL: Tensor = scores_BHLL.masked_fill(~sees_B1LL, -torch.inf)
        return seen_BHLL.softmax(dim=-1)

    def _heads(self, mixed_BLD: Tensor) -> Tensor:
        num_rows, length, width = mixed_BLD.shape
        heads = num_rows, length, self.num_heads, width // self.num_heads
        return mixed_BLD.view(heads).transpose(1, 2)


class Bert(nn.Module):
    """A BERT encoder whose sequences never see each other."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = BertEmbeddings(config)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.num_layers))
        self.final_norm = nn.Identity()  # every layer ends in a norm of its own

    def forward(self, batch: Batch, positions_M: Tensor | None = None) -> Tensor:
        """Hidden states ``hidden_BLD`` of the last layer.

        With `positions_M` (int64, in the flattened batch) only those, as ``hidden_MD``.

        Raises:
            IndexError: a sequence is longer than the position table.
        """
        hidden_BLD = self.embed(batch)
        *before, last = self.steps(batch)
        for step in before:
            hidden_BLD = step(hidden_BLD)
        return last(hidden_BLD, positions_M=positions_M)

    def observe(self, batch: Batch, *, attention: bool = False) -> Iterator[Observation]:
        """What every layer computes, one after another, K + 1 observations, as `Encoder.observe`.

        Raises:
            IndexError: a sequence is longer than the position table.
        """
        hidden_BLD = self.embed(batch)
        sees_B1LL = _sees(batch)
        yield Observation(0, hidden_BLD, None)
        for k, layer in enumerate(self._layers(), start=1):
            attention_BHLL = layer.probabilities(hidden_BLD, sees_B1LL) if attention else None
            hidden_BLD = layer(hidden_BLD, sees_B1LL)
            yield Observation(k, hidden_BLD, attention_BHLL)

    def embed(self, batch: Batch) -> Tensor:
        """States ``hidden_BLD`` that the first layer is given.

        Raises:
            IndexError: a sequence is longer than the position table.
        """
        hidden_BLD: Tensor = self.embeddings(batch)
        return hidden_BLD

    def steps(self, batch: Batch) -> list[Callable[..., Tensor]]:
        """Each layer as a function of the states below it, as `Encoder.steps`."""
        sees_B1LL = _sees(batch)
        return [partial(layer, sees_B1LL=sees_B1LL) for layer in self._layers()]

    def output_projections(self) -> list[nn.Linear]:
        """What takes all that a layer's heads have gathered, side by side, of each layer."""
        return [layer.attention_out for layer in self._layers()]

    def _layers(self) -> list[BertLayer]:
        return cast("list[BertLayer]", list(self.layers))


class BertMaskedLanguageModel(nn.Module):
    """A BERT with its head: a dense layer, GELU, a norm, and the token table as decoder."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Bert(config)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def logits(self, hidden_MD: Tensor) -> Tensor:
        """Scores ``logits_MV`` of every token of the vocabulary; any leading dimensions."""
        transformed_MD = self.norm(functional.gelu(self.dense(hidden_MD)))
        table_VD = self.model.embeddings.tokens.weight
        return functional.linear(transformed_MD, table_VD, self.bias)

    def forward(self, batch: Batch, positions_M: Tensor) -> Tensor:
        """Scores ``logits_MV`` at `positions_M` (int64, in the flattened batch) only."""
        return self.logits(self.model(batch, positions_M))


def _sees(batch: Batch) -> Tensor:
    """Who may look at whom, bool [B, 1, L, L]; padding sees padding, so that no row is empty."""
    ids_BL = batch.sequence_ids_BL
    return (ids_BL[:, :, None] == ids_BL[:, None, :])[:, None]
