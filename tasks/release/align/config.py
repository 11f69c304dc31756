"""Settings of align."""

from pydantic import Field

from tasks.settings import StageConfig


class AlignConfig(StageConfig):
    """How many documents the rotation is fitted on, and how what it costs is measured."""

    max_documents: int = Field(
        100_000, ge=1, description="most documents that the rotation is fitted on"
    )
    num_neighbours: int = Field(10, ge=1, description="neighbours compared in both spaces")
    max_queries: int = Field(2000, ge=2, description="most documents whose neighbours are compared")
    max_labelled_documents: int = Field(
        2000, ge=2, description="most labelled training documents each classifier is fitted on"
    )
    num_resamples: int = Field(1000, ge=100, description="resamples behind each 95 % interval")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of samples and resamples")
