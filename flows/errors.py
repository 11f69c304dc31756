"""The errors that only a run through Prefect knows."""

from model.errors import CorpusmithError


class ApiGoneError(CorpusmithError):
    """Prefect's API went away while flows were running; what stages have finished stays."""
