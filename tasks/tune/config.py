"""Settings of the tune stage."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from model.errors import RequestError
from tasks.settings import StageConfig, added, incidental


class TuneConfig(StageConfig):
    """How the encoder learns which spans belong to one document."""

    token_vectors: Literal["corpus", "pretrained"] = Field(
        "corpus",
        description="what tokens start from: the texts they stand in, or the pretrained encoder",
    )
    bag_steps: int = Field(
        60, ge=0, description="updates of token vectors and weights before any layer is used"
    )
    bag_documents_per_batch: int = Field(
        700, ge=2, description="documents in one of these; each is the others' negative"
    )
    # What drops little learns documents by heart, by the names that recur in them.
    token_dropout: float = Field(
        0.75, ge=0, lt=1, description="share of a span's tokens left out in these"
    )
    bag_learning_rate: float = Field(
        1e-3, gt=0, le=1, description="of AdamW for token vectors in these, at its peak"
    )
    weight_learning_rate: float = Field(
        0.02, gt=0, le=1, description="of AdamW for the logarithms of tokens' weights, at its peak"
    )
    max_steps: int = Field(200, ge=1, description="optimizer updates of the whole encoder")
    documents_per_batch: int = Field(
        128, ge=2, description="documents in one update; the others are each one's negatives"
    )
    temperature: float = Field(
        0.05, gt=0, le=1, description="of the contrastive loss; smaller looks at harder negatives"
    )
    span_min_tokens: int = Field(
        8, ge=1, description="shortest span; documents of two spans and one token are used"
    )
    span_max_tokens: int = Field(
        128, ge=2, description="longest span; a window may hold less and then decides"
    )
    matryoshka_dims: tuple[int, ...] | None = Field(
        None,
        description="prefixes of the vector to train (default: the whole, a half, a quarter)",
    )
    learning_rate: float = Field(5e-4, gt=0, le=1, description="of AdamW, at its peak")
    embedding_learning_rate: float = Field(
        5e-4, gt=0, le=1, description="of AdamW for the embedding table, at its peak"
    )
    warmup_frac: float = Field(0.1, ge=0, lt=1, description="part of the run in which it rises")
    weight_decay: float = Field(0.01, ge=0, le=1, description="of matrices, per unit rate")
    # Masked language modelling makes a token's state tell of its gap, not of its document. Of
    # `corpusmith tune --tune.branch_scale X` on the default corpus the validation recall@1 was
    # 0.558 with all of the branches (1), 0.651 with a tenth, 0.643 with 0.02 and 0.659 with none.
    branch_scale: float = Field(
        0.02,
        ge=0,
        le=1,
        description="part of what each layer adds to its input that training starts from",
    )
    layer: Literal["last", "best"] | int = added(
        "last",
        description="which layer vectors are read off; those above it are dropped: last, a number "
        "from 1, or best, which validation documents choose after training",
    )
    max_window_tokens: int | None = Field(
        None,
        ge=16,
        description="positions encoded at once, special tokens included; longer documents are "
        "encoded in windows (default: what the encoder was trained on)",
    )
    validation_documents: int = Field(
        512, ge=2, description="most validation documents to look for by their halves"
    )
    num_checkpoints: int = Field(
        8, ge=4, description="checkpoints over the run, each with a validation"
    )
    patience: int = Field(
        3, ge=1, description="validations in a row without a gain after which to stop"
    )
    seed: int = Field(0, ge=0, lt=2**64, description="of batches and spans")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of matrix products; auto: bf16 where the processor has it"
    )
    device: str = incidental("auto", description="where to train: auto, cpu, cuda or cuda:N")

    @field_validator("layer", mode="before")
    @classmethod
    def _layer_is_one(cls, value: Any) -> Any:
        if value in ("last", "best") or (str(value).isdecimal() and int(value) >= 1):
            return value
        raise ValueError(
            "must be last, best or the number of a layer, counted from 1 (an encoder without a "
            "layer is nothing that transformers could load)"
        )

    @model_validator(mode="after")
    def _spans_can_differ(self) -> Self:
        if self.span_max_tokens <= self.span_min_tokens:
            raise ValueError(
                f"span_max_tokens = {self.span_max_tokens} must be above "
                f"span_min_tokens = {self.span_min_tokens}"
            )
        return self

    @model_validator(mode="after")
    def _dims_are_prefixes(self) -> Self:
        if self.matryoshka_dims is not None and min(self.matryoshka_dims, default=0) < 1:
            raise ValueError("matryoshka_dims must name at least one dimension, all of 1 or more")
        return self


def refuse_layer_above(config: TuneConfig, num_layers: int) -> None:
    """See that an encoder of so many layers has the one that vectors are to be read off.

    Raises:
        RequestError: it has not.
    """
    if isinstance(config.layer, int) and config.layer > num_layers:
        raise RequestError(
            f"tune.layer = {config.layer} is none of the encoder's layers, 1 to {num_layers}: name "
            "one of them, or best or last, or raise pretrain.num_layers"
        )
