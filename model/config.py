"""The shape of an encoder: everything that its weights depend on, and nothing else."""

import math
from dataclasses import dataclass
from typing import Protocol

from model.errors import RequestError


class Sizes(Protocol):
    """What the config of every encoder says, whatever its architecture; see `EncoderConfig`."""

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding table."""

    @property
    def hidden_size(self) -> int:
        """Width of a hidden state."""

    @property
    def num_layers(self) -> int:
        """Transformer layers."""

    @property
    def num_heads(self) -> int:
        """Attention heads of a layer."""

    @property
    def head_size(self) -> int:
        """Width of one attention head."""

    @property
    def max_position_embeddings(self) -> int:
        """Longest sequence the weights were trained on, in tokens."""

    @property
    def position_limit(self) -> int | None:
        """No sequence can be longer, special tokens included; None: any length can be read."""

    @property
    def initializer_range(self) -> float:
        """Standard deviation of fresh weights."""

    @property
    def pad_id(self) -> int:
        """What fills rows up."""

    @property
    def unk_id(self) -> int:
        """What stands for unknown text."""

    @property
    def cls_id(self) -> int:
        """What every sequence begins with."""

    @property
    def sep_id(self) -> int:
        """What every sequence ends with."""

    @property
    def mask_id(self) -> int:
        """What is shown in the place of a masked token."""

    @property
    def special_ids(self) -> tuple[int, int, int, int, int]:
        """The ids that stand for no text: padding, unknown, first, last and masked."""


_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_layers",
    "num_heads",
    "intermediate_size",
    "max_position_embeddings",
)


def check_sizes(config: Sizes, *more: str) -> None:
    """See that sizes are whole numbers from 1 on and fit each other; `more` names further ones.

    Raises:
        RequestError: they do not.
    """
    for name in (*_SIZES, *more):
        value = getattr(config, name)
        if not isinstance(value, int) or value < 1:
            raise RequestError(f"{name} = {value!r} must be a whole number, at least 1")
    if config.hidden_size % config.num_heads:
        raise RequestError(
            f"num_heads = {config.num_heads} does not divide hidden_size = {config.hidden_size}; "
            "choose another number of heads"
        )
    for special_id in config.special_ids:
        if not isinstance(special_id, int) or not 0 <= special_id < config.vocab_size:
            raise RequestError(
                f"vocab_size = {config.vocab_size} has no room for the special ids "
                f"{config.special_ids}; choose a larger vocabulary"
            )


def check_constants(config: Sizes, *more: str) -> None:
    """See that the norms' epsilon and the spread of fresh weights are numbers above 0; `more` names
    further ones.

    Raises:
        RequestError: they are not.
    """
    for name in ("norm_eps", "initializer_range", *more):
        value = getattr(config, name)
        if not isinstance(value, int | float) or not 0 < value < math.inf:
            raise RequestError(f"{name} = {value!r} must be a number above 0")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Sizes and constants of one encoder.

    The architecture is ModernBERT's (Warner et al. 2024, "Smarter, Better, Faster, Longer",
    section 2.1): pre-norm, no biases, rotary positions, GeGLU, full and sliding-window layers.

    Attributes:
        vocab_size: rows of the embedding table, special and unused ids included.
        hidden_size: width of a hidden state.
        num_layers: transformer layers.
        num_heads: attention heads; they divide `hidden_size` into parts of an even size.
        intermediate_size: width inside the feed-forward block, after gating.
        max_position_embeddings: longest sequence the weights were trained on, in tokens. Rotary
            positions need no table, so it is a statement to other tools, not a limit here.
        global_rope_theta: base of the rotary wavelengths in full layers.
        local_rope_theta: the same in sliding-window layers.
        local_attention: whole width of the window; a position sees ``local_attention // 2``
            neighbours to each side, both ends included.
        global_attn_every_n_layers: layer k is full where k is a multiple of it; 1 = all full.
        norm_eps: added to the variance in every LayerNorm.
        pad_id, unk_id, cls_id, sep_id, mask_id: ids of the special tokens.
        initializer_range: standard deviation of fresh weights.
        tie_embeddings: whether the decoder of a masked language model is the embedding table;
            else it is a matrix of its own.

    Raises:
        RequestError: sizes that do not fit each other.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_position_embeddings: int = 1024
    global_rope_theta: float = 160000.0
    local_rope_theta: float = 10000.0
    local_attention: int = 128
    global_attn_every_n_layers: int = 1
    norm_eps: float = 1e-5
    pad_id: int = 0
    unk_id: int = 1
    cls_id: int = 2
    sep_id: int = 3
    mask_id: int = 4
    initializer_range: float = 0.02
    tie_embeddings: bool = True

    def __post_init__(self) -> None:
        check_sizes(self, "local_attention", "global_attn_every_n_layers")
        check_constants(self, "global_rope_theta", "local_rope_theta")
        if self.head_size % 2:
            raise RequestError(
                f"num_heads = {self.num_heads} does not divide hidden_size = {self.hidden_size} "
                "into heads of an even size; choose another number of heads"
            )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def special_ids(self) -> tuple[int, int, int, int, int]:
        """The ids that stand for no text: padding, unknown, first, last and masked."""
        return (self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id)

    @property
    def position_limit(self) -> None:
        """Rotary positions have no end."""

    @property
    def half_window(self) -> int:
        """How far a position of a sliding-window layer sees to each side, itself excluded."""
        return self.local_attention // 2

    def is_full_layer(self, layer: int) -> bool:
        """Whether layer `layer` (from 0) attends over the whole sequence."""
        return layer % self.global_attn_every_n_layers == 0
