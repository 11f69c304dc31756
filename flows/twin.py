"""Finds a run that does the same, where the server has begun a crashed run again more than once.

A busy server may act twice on one event. Both runs would be right, and one would only wait for the
other, on a worker that others need.
"""

import os

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun
from prefect.runtime import flow_run

from flows.errand import UNDER_WAY
from flows.perform import TRY_VARIABLE


def older_twin() -> str | None:
    """An unfinished run of the same deployment with the same parameters, made before this one.

    None for a run that has not been begun again.
    """
    if TRY_VARIABLE not in os.environ:
        return None
    with get_client(sync_client=True) as client:
        own = client.read_flow_run(flow_run.id)
        if own.deployment_id is None:
            return None
        alike = FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[own.deployment_id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=UNDER_WAY)),
        )
        found = client.read_flow_runs(flow_run_filter=alike)
    twins = [run for run in found if run.parameters == own.parameters and _age(run) < _age(own)]
    return str(min(twins, key=_age).id) if twins else None


def _age(run: FlowRun) -> tuple[str, str]:
    """Sorts runs from the oldest to the newest, in one way for all who ask."""
    return str(run.created), str(run.id)
