"""Moves the alias of the registered model at once, for commands that are no run."""

from collections.abc import Mapping
from pathlib import Path

from tasks.tracking.location import (
    DEFAULT_EXPERIMENT,
    experiment_name,
    locate,
    prepare_environment,
)


def make_champion(
    state_folder: Path, name: str, embedder: Path, metadata: Mapping[str, str]
) -> str:
    """Let the alias ``champion`` point at the version with this metadata; made if there is none.

    Args:
        state_folder: of the workspace; holds MLflow where no MLFLOW_TRACKING_URI is set.
        name: of the registered model.
        embedder: its folder, for a tracker that does not have it.
        metadata: as it was registered with.

    Returns:
        The version.

    Raises:
        Exception: whatever MLflow, its database or the network come up with.

    Cost: MLflow is loaded, in 2 s.
    """
    prepare_environment()
    from tasks.tracking.mlflow_sink import MlflowSink

    sink = MlflowSink(locate(state_folder), experiment_name(DEFAULT_EXPERIMENT))
    return sink.make_champion(name, embedder, metadata)
