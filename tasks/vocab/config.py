"""Settings of the vocab stage."""

from typing import Literal

from pydantic import Field

from tasks.settings import StageConfig


class VocabConfig(StageConfig):
    """How the vocabulary is learned."""

    vocab_size: int = Field(
        16384,
        ge=5 + 256,  # model.bpe.tokenizer.NUM_FIXED_TOKENS, not imported: settings load no numpy
        le=2**20,
        description="tokens in all: 5 special tokens, 256 bytes, and merges for the rest",
    )
    top_k: int = Field(
        1,
        ge=1,
        le=10_000,
        description="pairs merged in a round; 1 is exact byte pair encoding, more is its batched "
        "form, which this learner runs no faster",
    )
    algorithm: Literal["bpe"] = Field("bpe", description="how merges are chosen")
    pattern: Literal["gpt2", "gpt4"] = Field(
        "gpt4", description="the rule by which text is cut before merging"
    )
    min_frequency: int = Field(
        2, ge=1, description="pairs seen less often than this are not merged"
    )
    pad_to_multiple: int = Field(
        64,
        ge=1,
        le=1024,
        description="the embedding table is rounded up to a multiple of this with unused entries",
    )
