"""Starts the pipeline from the command line, after checking what can be known first."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from flows.config import INLINE, PipelineConfig
from flows.graph import StageName, stages_for
from flows.leaving import leave_in_time
from flows.released import current_release
from flows.servers import PrefectApi, prepare_prefect, without_heartbeats
from model.errors import RequestError
from tasks.ingest.places.paths import check_paths
from tasks.runtime.stopping import deferred_termination
from tasks.store.workspace import Workspace
from tasks.tracking import load_early, locate


def launch(config: PipelineConfig, location: str, until: StageName | None) -> dict[str, Any]:
    """Run the chain, up to a stage if one is named.

    Raises:
        RequestError: a source path or the workspace cannot serve; nothing has started then.
        CorpusmithError: a stage refused; what was finished before it stays.
    """
    if config.probe.encoder is not None and "probe" in stages_for(until, config):
        from tasks.probe.foreign import check_encoder  # only where needed: it takes seconds

        check_encoder(config.probe)
    workspace, api = _prepare(config, location)
    from flows.pipeline import pipeline  # only now: Prefect reads its settings when imported

    with _ready(api, workspace):
        return pipeline(config, workspace=workspace.location, until=until)


def launch_refresh(config: PipelineConfig, location: str) -> dict[str, Any]:
    """Take in what is new and publish it with the released embedder.

    Raises:
        RequestError: nothing is published yet, another refresh is going on, or a source path or
            the workspace cannot serve.
        CorpusmithError: a stage refused; nothing is published then.
    """
    current_release(Workspace.open_existing(location))
    workspace, api = _prepare(config, location)
    from flows.refresh import refresh

    with _ready(api, workspace):
        return refresh(config, workspace=workspace.location)


def launch_forecast(config: PipelineConfig, location: str) -> dict[str, Any]:
    """Run the chain on parts of the training text and foretell the scores on all of it.

    Raises:
        RequestError: a source path or the workspace cannot serve; nothing has started then.
        CorpusmithError: a stage refused, such as for too little text; what was finished stays.
    """
    workspace, api = _prepare(config, location)
    from flows.forecast import plan_forecast

    with _ready(api, workspace):
        return plan_forecast(config, workspace=workspace.location)


@contextlib.contextmanager
def _ready(api: PrefectApi, workspace: Workspace) -> Iterator[None]:
    """Wait for the API while the tracker's library is loaded; then the setting to run flows in."""
    from flows.api_logs import quieten_api_logs  # Prefect's, see above

    load_early(locate(workspace.state))
    api.wait_until_ready()
    quiet: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if api.server:
        quiet = without_heartbeats()
    leave_in_time()
    quieten_api_logs()
    with api.kept(), api.explaining(), quiet:
        yield


def _prepare(config: PipelineConfig, location: str) -> tuple[Workspace, PrefectApi]:
    _load_numpy()
    workspace = Workspace.open(location)
    check_paths(config.ingest)
    api = prepare_prefect(workspace.state)
    if api.server and config.workers.gpu_stages != INLINE:
        raise RequestError(
            f"workers.gpu_stages = {config.workers.gpu_stages}: workers need a Prefect API that "
            f"they share with this run: name it in PREFECT_API_URL, or set it to {INLINE}"
        )
    return workspace, api


def _load_numpy() -> None:
    """Import numpy whole, though SIGTERM comes meanwhile.

    If its import is interrupted, the next one, by the thread that loads the tracker's library, ends
    in a RecursionError: numpy then finds its parts loaded, and itself without them.
    """
    with deferred_termination():
        importlib.import_module("numpy")
