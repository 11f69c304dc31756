"""Settings of the tokenize stage."""

from pydantic import Field

from tasks.settings import StageConfig


class TokenizeConfig(StageConfig):
    """How documents are laid into training rows."""

    row_tokens: int = Field(
        256,
        ge=16,
        le=2**17,
        description="slots in a training row; each piece of a document takes two more than its "
        "tokens, for [CLS] and [SEP]",
    )
