"""Settings of the export stage."""

from typing import Literal

from pydantic import Field

from tasks.settings import StageConfig, incidental


class ExportConfig(StageConfig):
    """What the embeddings dataset holds, and how it is computed."""

    dtype: Literal["float32", "float16"] = Field(
        "float32", description="type of a vector's numbers; float16 halves the files"
    )
    level: Literal["document", "chunk"] = Field(
        "document",
        description="chunk writes, beside the documents, one vector a window into chunk-*.parquet",
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
    device: str = incidental("auto", description="where to embed: auto, cpu, cuda or cuda:N")
    tokens_per_batch: int = incidental(
        8192, ge=16, le=2**24, description="positions encoded at once; bounds memory only"
    )
