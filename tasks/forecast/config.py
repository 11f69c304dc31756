"""Settings of the forecast stage."""

from pydantic import Field

from tasks.settings import StageConfig

# Parts of the training text that are learned from, ascending, by the names of their evaluations.
SHARES = {"evaluate/eighth": 1 / 8, "evaluate/quarter": 1 / 4, "evaluate/half": 1 / 2}


class ForecastConfig(StageConfig):
    """How sure a forecast is found to be."""

    num_resamples: int = Field(
        1000, ge=100, description="bootstrap resamples behind each 95 % interval"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the resamples")
