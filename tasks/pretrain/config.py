"""Settings of the `pretrain` stage."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator

from tasks.pretrain.sizes import RATES, SIZES, Rates, Shape, SizeName
from tasks.settings import StageConfig, incidental


class PretrainConfig(StageConfig):
    """How large the encoder is and how it is trained."""

    size: SizeName = Field("tiny", description="sizes of the encoder, each of which can be set")
    hidden_size: int | None = Field(
        None, ge=8, multiple_of=2, description="width of a hidden state; none = as in size"
    )
    num_heads: int | None = Field(
        None, ge=1, description="attention heads; none = as in size", validate_default=True
    )
    num_layers: int | None = Field(None, ge=1, description="layers; none = as in size")
    intermediate_size: int | None = Field(
        None, ge=8, description="width inside the feed-forward blocks; none = as in size"
    )
    local_attention: int | None = Field(
        None, ge=2, description="tokens in the sliding windows; none = as in size"
    )
    global_attn_every_n_layers: int | None = Field(
        None, ge=1, description="every n-th layer sees the whole sequence; none = as in size"
    )
    max_steps: int = Field(500, ge=1, description="optimizer updates")
    max_minutes: float | None = Field(
        None,
        gt=0,
        description="stop earlier after this long; the result is then not reproducible",
    )
    rows_per_step: int = Field(16, ge=1, description="rows of tokens in one update")
    initial_rows_per_step: int | None = Field(
        None, ge=1, description="rows in the first update; none = rows_per_step from the start"
    )
    ramp_frac: float = Field(
        0.3, ge=0, le=1, description="part of the run in which the rows of an update grow"
    )
    micro_rows: int | None = Field(
        None, ge=1, description="rows computed at once, to save memory; none = all of a step"
    )
    optimizer: Literal["muon", "adamw"] = Field(
        "muon", description="of the matrices inside the layers; all else is AdamW's"
    )
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="peak rate of AdamW; none = as in size"
    )
    muon_learning_rate: float | None = Field(
        None, gt=0, le=1, description="peak rate of Muon; none = as in size"
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="decay of matrices, per unit rate")
    grad_clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    mask_frac: float = Field(0.3, gt=0, lt=1, description="part of the tokens to predict")
    final_mask_frac: float | None = Field(
        None, gt=0, lt=1, description="the same at the end of the run; none = it does not change"
    )
    mask_shares: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1),
        description="parts of them shown as [MASK], as another token and as they are",
    )
    whole_words: bool = Field(False, description="mask all tokens of a word or none")
    initial_heads: Literal["neighbours", "random"] = Field(
        "neighbours",
        description="where fresh attention heads look: each at a place beside its own, which "
        "spares the first part of training, or nowhere in particular",
    )
    tie_embeddings: bool = Field(
        True, description="predict with the embedding table; false = with a matrix of its own"
    )
    warmup_frac: float = Field(0.05, ge=0, le=1, description="part of the run the rates rise in")
    decay_frac: float | None = Field(
        None,
        ge=0,
        le=1,
        description="part of the run the rates fall in; none = all of it after the warm-up",
    )
    validations: int = Field(5, ge=1, description="validations spread over the run")
    validation_rows: int = Field(
        2048, ge=1, description="rows of the validation split to use, if it has more"
    )
    num_checkpoints: int = Field(4, ge=4, description="checkpoints spread over the run")
    checkpoint_minutes: float = incidental(
        10.0, gt=0, description="minutes between further checkpoints, which the next ones replace"
    )
    max_rollbacks: int = Field(
        0,
        ge=0,
        description="how often a spike of the loss leads back to the last checkpoint and past the "
        "batches since then; 0 = a loss that is not finite stops the run, others are left alone",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of weights, order and masks")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto = bf16 where the processor computes it natively"
    )
    compile: Literal["off", "on", "auto"] = Field(
        "auto", description="compile the layers; auto = on a GPU"
    )
    device: str = incidental("auto", description="auto, cpu, cuda or cuda:N")
    num_processes: PositiveInt | Literal["auto"] = incidental(
        1, description="training processes on this machine; auto = one for each GPU"
    )
    num_nodes: int = incidental(1, ge=1, description="machines that train together")
    rendezvous: str | None = incidental(
        None, description="host:port where the machines meet; needed for more than one"
    )
    max_restarts: int = incidental(
        3, ge=0, description="how often failed training processes start again from a checkpoint"
    )
    init_from: Path | None = incidental(
        None, description="folder of a ModernBERT encoder of the same sizes to start from"
    )

    @field_validator("num_heads")
    @classmethod
    def _heads_divide_the_width(cls, value: int | None, info: ValidationInfo) -> int | None:
        if "size" not in info.data or "hidden_size" not in info.data:
            return value  # these are wrong themselves and are reported
        preset = SIZES[info.data["size"]]
        width = info.data["hidden_size"] or preset.hidden_size
        num_heads = value or preset.num_heads
        if width % (2 * num_heads):
            raise ValueError(
                f"pretrain.num_heads = {num_heads} must divide pretrain.hidden_size = {width} "
                "into heads of an even size"
            )
        return value

    @model_validator(mode="after")
    def _phases_fit(self) -> Self:
        if self.warmup_frac + self.falling_frac > 1:
            raise ValueError(
                f"pretrain.warmup_frac + pretrain.decay_frac = "
                f"{self.warmup_frac + self.falling_frac:g} must not exceed 1"
            )
        return self

    @model_validator(mode="after")
    def _shares_are_a_whole(self) -> Self:
        if min(self.mask_shares) < 0 or abs(sum(self.mask_shares) - 1) > 1e-6:
            raise ValueError(
                f"pretrain.mask_shares = {self.mask_shares} must be three parts of 1, none negative"
            )
        return self

    @model_validator(mode="after")
    def _machines_can_meet(self) -> Self:
        if self.num_nodes > 1 and self.rendezvous is None:
            raise ValueError(
                "pretrain.num_nodes > 1 needs pretrain.rendezvous, host:port of one of the machines"
            )
        return self

    @model_validator(mode="after")
    def _batches_grow(self) -> Self:
        if (self.initial_rows_per_step or 1) > self.rows_per_step:
            raise ValueError(
                f"pretrain.initial_rows_per_step = {self.initial_rows_per_step} must not exceed "
                f"pretrain.rows_per_step = {self.rows_per_step}"
            )
        return self

    @property
    def shape(self) -> Shape:
        """The sizes of the encoder: those of `size`, but what is set explicitly."""
        explicit = {name: getattr(self, name) for name in Shape._fields}
        return SIZES[self.size]._replace(**{k: v for k, v in explicit.items() if v is not None})

    @property
    def falling_frac(self) -> float:
        """Part of the run in which the rates fall."""
        return 1.0 - self.warmup_frac if self.decay_frac is None else self.decay_frac

    @property
    def rates(self) -> Rates:
        """Peak rates: those of `size`, but what is set explicitly."""
        explicit = {name: getattr(self, name) for name in Rates._fields}
        return RATES[self.size]._replace(**{k: v for k, v in explicit.items() if v is not None})
