"""Settings of the drift stage."""

import math
from typing import Self

from pydantic import Field, model_validator

from tasks.settings import StageConfig, incidental


class DriftConfig(StageConfig):
    """How much is looked at, and how rarely chance may raise an alarm."""

    num_documents: int = Field(
        500,
        ge=20,
        le=10_000,
        description="most documents of the reference (the test split that the embedder was "
        "examined on) that are looked at, and most new ones; of the latter at most half as many "
        "as of the former",
    )
    max_tokens_per_document: int = Field(
        256,
        ge=8,
        le=8192,
        description="leading tokens of each document that the masked loss is taken on",
    )
    false_alarms_per_month: float = Field(
        1.0,
        gt=0,
        le=15,
        description="how often at most chance raises an alarm in 30 nights, all measures together",
    )
    num_resamples: int = Field(
        2000,
        ge=200,
        le=100_000,
        description="draws from the reference that show how large a difference chance makes",
    )
    seed: int = Field(0, ge=0, lt=2**64, description="seed of draws and masks")
    device: str = incidental("auto", description="where to compute: auto, cpu, cuda or cuda:N")

    @property
    def false_alarm_frac(self) -> float:
        """The same of one night."""
        return self.false_alarms_per_month / 30

    @model_validator(mode="after")
    def _chance_can_be_told(self) -> Self:
        """With fewer draws no difference is ever too large for chance."""
        if int(self.false_alarm_frac * (self.num_resamples + 1)) < 1:
            needed = math.ceil(1 / self.false_alarm_frac)
            raise ValueError(
                f"drift.num_resamples = {self.num_resamples} is too few to tell "
                f"drift.false_alarms_per_month = {self.false_alarms_per_month:g}: {needed} are "
                "enough; set either of them higher"
            )
        return self
