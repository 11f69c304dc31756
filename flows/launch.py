"""Starts the pipeline from the command line, after checking what can be known first."""

from typing import Any

from flows.config import PipelineConfig
from flows.graph import StageName
from flows.servers import prepare_prefect
from tasks.ingest.places.paths import check_paths
from tasks.store.workspace import Workspace


def launch(config: PipelineConfig, location: str, until: StageName | None) -> dict[str, Any]:
    """Run the chain, up to a stage if one is named.

    Raises:
        RequestError: a source path or the workspace cannot serve; nothing has started then.
        CorpusmithError: a stage refused; what was finished before it stays.
    """
    workspace = Workspace.open(location)
    check_paths(config.ingest)
    api = prepare_prefect(workspace.state)
    from flows.pipeline import pipeline  # only now: Prefect reads its settings when imported

    api.wait_until_ready()
    return pipeline(config, workspace=str(workspace.path), until=until)
