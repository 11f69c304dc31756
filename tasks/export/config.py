"""Settings of the export stage."""

from typing import Literal

from pydantic import Field, field_validator

from tasks.settings import StageConfig, incidental


class ExportConfig(StageConfig):
    """What the embeddings dataset holds, and how it is computed."""

    dtype: Literal["float32", "float16"] = Field(
        "float32", description="type of a vector's numbers; float16 halves the files"
    )
    level: Literal["document", "chunk", "both"] = Field(
        "document",
        description="document = one vector a document; both = also one a window, in "
        "chunk-*.parquet; chunk = the same as both, since search needs the documents",
    )
    int8: bool = Field(
        False, description="add embedding_int8 with a scale a row: embedding is int8 times scale"
    )
    binary: bool = Field(
        False, description="add embedding_binary: one bit a dimension, set where it is above zero"
    )
    precision: Literal["fp32", "bf16", "auto"] = Field(
        "fp32",
        description="what matrix products are computed in; bf16 is faster and less exact, auto "
        "takes it where the processor computes it natively",
    )
    device: str = incidental(
        "auto",
        description="where to embed: auto (every GPU there is, else the CPU), cpu, cuda or cuda:N",
    )
    tokens_per_batch: int | None = incidental(
        None,
        ge=16,
        le=2**24,
        description="positions encoded at once, for memory and speed only; none = 2048 on the CPU, "
        "32768 on a GPU",
    )

    @field_validator("level")
    @classmethod
    def _one_name(cls, level: str) -> str:
        """One result has one identity."""
        return "both" if level == "chunk" else level
