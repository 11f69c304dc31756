"""Settings of the vocab stage."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.settings import StageConfig, incidental


class VocabConfig(StageConfig):
    """How the vocabulary is learned."""

    vocab_size: int = Field(
        16384,
        ge=5 + 256,  # model.bpe.tokenizer.NUM_FIXED_TOKENS, not imported: settings load no numpy
        le=2**20,
        description="tokens in all: 5 special tokens, the alphabet, and merges for the rest",
    )
    top_k: int = Field(
        1,
        ge=1,
        le=10_000,
        description="pairs merged in a round; 1 is exact byte pair encoding, more is its batched "
        "form, which this learner runs no faster",
    )
    algorithm: Literal["bpe", "unigram", "wordpiece", "words"] = Field(
        "bpe",
        description="how the vocabulary is chosen: byte pair encoding by our own learner; Unigram, "
        "WordPiece or rule-based words by the tokenizers library",
    )
    symbols: Literal["bytes", "characters"] = Field(
        "bytes",
        description="what merging begins with: bytes lose nothing; characters, with a mark at the "
        "end of words, lose white space and make unseen characters [UNK]",
    )
    pattern: Literal["gpt2", "gpt4"] = Field(
        "gpt4", description="the rule by which text is cut before bytes are merged"
    )
    min_frequency: int = Field(
        2, ge=1, description="pairs seen less often than this are not merged"
    )
    max_pretokens: int | None = Field(
        None,
        ge=1000,
        description="learn from so many distinct pretokens, the most frequent ones, to bound the "
        "memory on very large corpora; none = all of them",
    )
    pad_to_multiple: int = Field(
        64,
        ge=1,
        le=1024,
        description="the embedding table is rounded up to a multiple of this with unused entries",
    )
    tokenizer: Path | None = incidental(
        None, description="an existing tokenizer.json to take over instead of learning one"
    )
    peer_bytes: int = Field(
        2**21,
        ge=2**10,
        le=2**26,
        description="training text that the peers in the report learn from; Unigram takes 3 s for "
        "1 MB and 20 s for 4 MB",
    )
    affixes: Path | None = incidental(
        None,
        description="a list of affixes, such as un- or -ness, one a line, to hold the cuts against",
    )
    conllu: Path | None = incidental(
        None, description="a CoNLL-U file whose words and morphs to hold the cuts against"
    )

    @model_validator(mode="after")
    def _characters_are_ours(self) -> Self:
        if self.symbols == "characters" and (self.algorithm != "bpe" or self.tokenizer):
            raise ValueError(
                "vocab.symbols = characters goes with vocab.algorithm = bpe and no vocab.tokenizer"
            )
        return self
