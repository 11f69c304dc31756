"""Settings of ingest that drop documents for what their text is like; all are off by default."""

from typing import Self

from pydantic import Field, model_validator

from tasks.settings import StageConfig


class FilterConfig(StageConfig):
    """What a text must be like to stay; `cleaning.filters` defines the words used here.

    Values named in descriptions are those of Rae et al. 2021, "Scaling Language Models: Methods,
    Analysis & Insights from Training Gopher", appendix A.1.1.
    """

    min_words: int | None = Field(
        None, ge=1, description="texts of fewer words are dropped (Gopher: 50)"
    )
    max_words: int | None = Field(
        None, ge=1, description="texts of more words are dropped (Gopher: 100,000)"
    )
    max_symbols_per_word: float | None = Field(
        None,
        ge=0,
        le=100,
        description="texts with more hash signs or more ellipses per word are dropped "
        "(Gopher: 0.1)",
    )
    max_digit_frac: float | None = Field(
        None,
        ge=0,
        le=1,
        description="texts with more digits, as a fraction of characters, are dropped",
    )
    max_repeated_line_frac: float | None = Field(
        None,
        ge=0,
        le=1,
        description="texts with more of their characters in lines that repeat an earlier one are "
        "dropped (Gopher: 0.2)",
    )
    max_top_ngram_frac: float | None = Field(
        None,
        ge=0,
        le=1,
        description="texts with more of their characters in one phrase of 2, 3 or 4 words are "
        "dropped (Gopher: 0.2, 0.18, 0.16)",
    )
    max_repeated_ngram_frac: float | None = Field(
        None,
        ge=0,
        le=1,
        description="texts with more of their characters in phrases of 5 words that repeat an "
        "earlier one are dropped (Gopher: 0.15)",
    )

    @model_validator(mode="after")
    def _leaves_a_number_of_words(self) -> Self:
        if self.min_words and self.max_words and self.min_words > self.max_words:
            raise ValueError("min_words must not be above max_words")
        return self
