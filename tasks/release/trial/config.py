"""Settings of the trial: those of evaluate's that decide which questions are asked."""

from typing import Any, Self

from pydantic import Field

from tasks.evaluate.config import EvaluateConfig
from tasks.settings import StageConfig, incidental


class TrialConfig(StageConfig):
    """How documents become questions, and how sure an answer is. The pipeline's are evaluate's."""

    min_words: int = Field(10, ge=1, description="words that each half of a document must have")
    recurring_line_frac: float = Field(
        0.05, gt=0, le=1, description="lines in more than this fraction of documents are taken out"
    )
    max_queries: int = Field(2000, ge=1, description="most documents asked of each kind")
    num_resamples: int = Field(1000, ge=100, description="resamples behind each 95 % interval")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of samples and resamples")
    device: str = incidental("auto", description="where the embedders run: auto, cpu or cuda")

    @classmethod
    def like(cls, settings: dict[str, Any]) -> Self:
        """With evaluate's settings, as far as they concern the trial."""
        return cls(**{name: settings[name] for name in cls.model_fields if name in settings})

    @property
    def questions(self) -> EvaluateConfig:
        """As evaluate takes them, whose code makes the questions."""
        return EvaluateConfig(**self.model_dump())
